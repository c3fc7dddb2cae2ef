"""The table of predictions: written once, measured as often as anybody likes.

``predictions.parquet`` has one row per holdout row with a label, in the order of the snapshot:
``row`` (from 0), ``label`` (0 or 1, or a class's number), the slice columns as text (one that is
itself named ``label`` as ``slice_label``), ``candidate`` and ``champion`` (probabilities, of
classes one each in a list; ``champion`` is null where there is none).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

PREDICTIONS_FILE = "predictions.parquet"
_OWN_COLUMNS = frozenset({"row", "label", "candidate", "champion"})
MISSING_VALUE = "(missing)"
"""How a null in a slice column is shown."""


@dataclass(frozen=True)
class Predictions:
    """The table's columns.

    Attributes:
        labels: Shape [rows], 0 or 1, or classes' numbers from 0.
        slices: By column, one text per row.
        candidate: Shape [rows] or [rows, classes], float32.
        champion: The same; None where there is no champion.
        classes: Names of the classes; empty where the label is 0 or 1.
    """

    labels: NDArray[np.float32]
    slices: dict[str, pa.Array]
    candidate: NDArray[np.float32]
    champion: NDArray[np.float32] | None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def write(self, path: Path) -> None:
        """Write the table."""
        rows = len(self)
        candidate = _arrow(self.candidate)
        champion = (
            pa.nulls(rows, candidate.type) if self.champion is None else _arrow(self.champion)
        )
        columns = {
            "row": pa.array(np.arange(rows, dtype=np.int64)),
            "label": pa.array(self.labels.astype(np.int64 if self.classes else np.int8)),
            **{column_of(name): values for name, values in self.slices.items()},
            "candidate": candidate,
            "champion": champion,
        }
        pq.write_table(pa.table(columns), path)


def column_of(slice_: str) -> str:
    """The table's column for a slice: its name, marked where the table has that name itself."""
    return f"slice_{slice_}" if slice_ in _OWN_COLUMNS else slice_


def _arrow(scores: NDArray[np.float32]) -> pa.Array:
    if scores.ndim == 1:
        return pa.array(scores)
    # Not a list of fixed size: Parquet's reader cannot read a null among those.
    ends = np.arange(0, scores.size + 1, scores.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(ends, pa.array(scores.ravel()))


def as_text(column: pa.Array) -> pa.Array:
    """A slice column as the text that reports and gates name its values by."""
    return column.cast(pa.string()).fill_null(MISSING_VALUE)
