"""Releases: the log that is the truth, the machine that moves it, the agents that make it so."""
