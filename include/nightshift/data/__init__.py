"""The lake and the snapshots that pin it."""
