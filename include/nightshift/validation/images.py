"""What validation sees of an image: whether it is there, how long, how bright and how rough.

A histogram of raw bytes would tell nothing, and would copy what people photographed into reports.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def lengths_of_images(table: pa.Table) -> pa.Table:
    """The same table with each binary column replaced by its values' lengths (null stays null)."""
    for index, field in enumerate(table.schema):
        if pa.types.is_binary(field.type):
            lengths = pc.cast(pc.binary_length(table[field.name]), pa.int64())
            table = table.set_column(index, field.name, lengths)
    return table


def described_images(table: pa.Table) -> pa.Table:
    """The same table with each binary column replaced by numbers that a picture's kind shows in.

    ``<name> brightness`` is the mean of its bytes, ``<name> roughness`` the mean difference between
    neighbours: inverted, blank, noisy or scrambled pictures differ in one of them.
    """
    for field in table.schema:
        if pa.types.is_binary(field.type):
            described = [_describe(value) for value in table[field.name].to_pylist()]
            table = table.drop([field.name])
            for at, name in enumerate(("brightness", "roughness")):
                values = pa.array([numbers[at] for numbers in described], pa.float64())
                table = table.append_column(f"{field.name} {name}", values)
    return table


def _describe(value: bytes | None) -> tuple[float | None, float | None]:
    if not value:
        return None, None
    pixels: NDArray[np.int16] = np.frombuffer(value, np.uint8).astype(np.int16)
    return float(pixels.mean()), float(np.abs(np.diff(pixels)).mean()) if len(pixels) > 1 else 0.0
