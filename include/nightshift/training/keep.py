"""Whether a window is kept in memory or streamed."""

from __future__ import annotations

IN_MEMORY_CELLS = 40_000_000
"""Rows times columns that are kept in memory, about 1 GB as tensors.

A constant, not this machine's free memory: the two ways of reading shuffle differently, and the
same snapshot must make the same model on every machine.
"""


def fits_in_memory(rows: int, columns: int) -> bool:
    """Whether so much data is kept in memory."""
    return rows * columns <= IN_MEMORY_CELLS
