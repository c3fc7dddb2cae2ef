"""The examples on which an INT8 model's ranges are measured: train rows, spread over the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nightshift.data.pinned import Snapshot, Split
from nightshift.data.reader import download
from nightshift.training.examples import ExampleReader, concatenate

MOST_FILES = 16
"""Files read at most: some hundred rows need no more than a few days' downloads."""


def calibration_rows(
    snapshot: Snapshot, reader: ExampleReader, count: int, folder: Path
) -> dict[str, NDArray[Any]]:
    """So many train examples by feature, evenly from evenly chosen days.

    The same snapshot gives the same rows. Fewer where the train part has fewer.

    Args:
        snapshot: The night's snapshot; its holdout is never read.
        reader: How its files are read.
        count: Rows wanted.
        folder: Where files are downloaded to.
    """
    pinned = snapshot.split(Split.TRAIN)
    days = [pinned[n] for n in spread(len(pinned), MOST_FILES)]
    chosen = snapshot.model_copy(update={"files": tuple(days)})
    if sum(file.rows for file in days) < count:
        chosen = snapshot
    files = download(chosen, Split.TRAIN, folder)
    examples = reader.examples(concatenate(reader.batches(files)))
    rows = spread(len(examples), count)
    return {name: _as_asked(values[rows]) for name, values in examples.inputs.items()}


def _as_asked(values: NDArray[Any]) -> NDArray[Any]:
    """Pixels are kept as bytes and asked as floats."""
    return values.astype(np.float32) if values.dtype == np.uint8 else values


def spread(length: int, count: int) -> NDArray[np.intp]:
    """At most ``count`` different indices below ``length``, evenly apart, ascending."""
    return np.unique(np.linspace(0, length - 1, num=min(count, length)).astype(np.intp))
