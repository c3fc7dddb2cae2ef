"""Models encrypted at rest: which keys a process has, and envelopes around files."""
