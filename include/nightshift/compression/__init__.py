"""Compression: smaller variants of the trained model, each measured and judged by itself."""
