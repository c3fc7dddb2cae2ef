"""The doors of a serving host: who is let in, and what is loaded."""
