"""The table of predictions: written once, measured as often as anybody likes.

``predictions.parquet`` has one row per holdout row with a label, in the order of the snapshot:
``row`` (from 0), ``label`` (0 or 1, or a class's number), the slice columns as text (one that is
itself named ``label`` as ``slice_label``), ``candidate`` and ``champion`` (probabilities, of
classes one each in a list; ``champion`` is null where there is none).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nightshift.evaluation.slicing import MISSING_VALUE

PREDICTIONS_FILE = "predictions.parquet"
_OWN_COLUMNS = frozenset({"row", "label", "candidate", "champion"})


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

    @classmethod
    def read(cls, path: Path, columns: Iterable[str], classes: tuple[str, ...] = ()) -> Predictions:
        """Read a table that :meth:`write` wrote.

        Args:
            path: The file.
            columns: Lake columns that slices read.
            classes: Names of the classes; empty where the label is 0 or 1.
        """
        table = pq.read_table(path).combine_chunks()
        champion = table["champion"]
        return cls(
            labels=table["label"].to_numpy().astype(np.float32),
            slices={name: _one_chunk(table[column_of(name)]) for name in columns},
            candidate=_scores(table["candidate"], len(classes)),
            champion=None if champion.null_count else _scores(champion, len(classes)),
            classes=classes,
        )

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


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)


def _scores(column: pa.ChunkedArray, classes: int) -> NDArray[np.float32]:
    if not classes:
        return column.to_numpy()
    return _one_chunk(column).flatten().to_numpy().reshape(-1, classes)


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
