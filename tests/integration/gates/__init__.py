"""Decisions on a real object store."""
