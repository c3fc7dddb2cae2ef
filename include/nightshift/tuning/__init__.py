"""Search parameters before training; the best feed ``train``."""
