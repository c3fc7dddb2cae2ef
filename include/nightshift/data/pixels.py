"""Images in the lake: each a value of exactly height x width x channels bytes, row by row."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def pixels_of(column: pa.Array, shape: tuple[int, int, int]) -> np.ndarray:
    """A checked binary column as one array, without Python per row.

    Args:
        column: Of type binary, without nulls; every value has ``prod(shape)`` bytes
            (:func:`wrong_lengths` is 0).
        shape: Height, width, channels.

    Returns:
        Shape [rows, height, width, channels], uint8; a view of the column's own memory.
    """
    import numpy as np

    size = prod(shape)
    if not len(column):
        return np.empty((0, *shape), np.uint8)
    _, offsets, values = column.buffers()
    # A slice of a column shares the whole column's buffers: its values begin at its first offset.
    first = int(np.frombuffer(offsets, np.int32)[column.offset])
    flat = np.frombuffer(values, np.uint8, count=len(column) * size, offset=first)
    return flat.reshape(len(column), *shape)


def wrong_lengths(column: pa.Array, size: int) -> tuple[int, int | None]:
    """How many values do not have ``size`` bytes, and the length of the first of them.

    Nulls are not counted.
    """
    import pyarrow.compute as pc

    lengths = pc.binary_length(column)
    wrong = lengths.filter(pc.not_equal(lengths, size))
    return len(wrong), wrong[0].as_py() if len(wrong) else None
