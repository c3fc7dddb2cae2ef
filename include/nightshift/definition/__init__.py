"""What one pipeline is: the typed model of ``pipeline.yaml`` and its loader."""
