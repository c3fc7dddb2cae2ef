"""S3-compatible storage: one client, conditional writes, errors by kind."""
