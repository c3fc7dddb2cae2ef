"""Thin operators: each runs one step, or one exchange with the registry or the release log."""
