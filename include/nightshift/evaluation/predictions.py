"""The table of predictions: written once, measured as often as anybody likes.

``predictions.parquet`` has one row per holdout row with a label, in the order of the snapshot:
``row`` (from 0), ``label`` (0 or 1), the slice columns as text, ``candidate`` and ``champion``
(probabilities; ``champion`` is null where there is none).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

PREDICTIONS_FILE = "predictions.parquet"
MISSING_VALUE = "(missing)"
"""How a null in a slice column is shown."""


@dataclass(frozen=True)
class Predictions:
    """The table's columns.

    Attributes:
        labels: Shape [rows], 0 or 1.
        slices: By column, one text per row.
        candidate: Shape [rows], float32.
        champion: Shape [rows], float32; None where there is no champion.
    """

    labels: NDArray[np.float32]
    slices: dict[str, pa.Array]
    candidate: NDArray[np.float32]
    champion: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.labels)

    def write(self, path: Path) -> None:
        """Write the table."""
        rows = len(self)
        champion = (
            pa.nulls(rows, pa.float32()) if self.champion is None else pa.array(self.champion)
        )
        columns = {
            "row": pa.array(np.arange(rows, dtype=np.int64)),
            "label": pa.array(self.labels.astype(np.int8)),
            **self.slices,
            "candidate": pa.array(self.candidate),
            "champion": champion,
        }
        pq.write_table(pa.table(columns), path)


def as_text(column: pa.Array) -> pa.Array:
    """A slice column as the text that reports and gates name its values by."""
    return column.cast(pa.string()).fill_null(MISSING_VALUE)
