"""Whether a window is kept in memory or streamed."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightshift.training.examples import ExampleReader

IN_MEMORY_CELLS = 40_000_000
"""Rows times cells of a row that are kept in memory, about 1 GB as tensors.

Only speed and memory depend on it: rows that are streamed come in the same order.
"""


_PIXELS_PER_CELL = 16
"""A pixel is kept as a byte, a cell takes some 25."""


def cells_of(reader: ExampleReader) -> int:
    """What one row takes: one per column, more for an image."""
    pixels = sum(prod(f.shape) for f in reader.features.values() if f.shape)
    return len(reader.columns) + pixels // _PIXELS_PER_CELL


def fits_in_memory(rows: int, cells: int) -> bool:
    """Whether so many rows of so many cells are kept in memory."""
    return rows * cells <= IN_MEMORY_CELLS
