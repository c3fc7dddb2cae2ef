"""The model card: all that must be known of a version, on one page that stands by itself."""
