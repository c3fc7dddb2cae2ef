"""Statistics of parts of the rows: one for each value of each declared column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import schema_pb2

from nightshift.data.pinned import Split
from nightshift.errors import BadDefinitionError
from nightshift.validation.profile import Counting, Statistics

MOST_VALUES = 50
"""More slices in one column would be a page that nobody reads."""
_TOGETHER = 50_000


@dataclass(frozen=True)
class Slice:
    """The rows with one value in one column.

    Attributes:
        name: ``<column> = <value>``.
        column: The column that it is a part by.
        train: Statistics of its rows to train on, and how many these are.
        holdout: Of its rows held out.
    """

    name: str
    column: str
    train: Statistics
    train_rows: int
    holdout: Statistics
    holdout_rows: int


class SliceCounting:
    """Counts tables as they are read.

    Args:
        columns: The columns to slice by.
        schema: As :func:`nightshift.validation.profile.statistics_of` takes it.
    """

    def __init__(self, columns: Sequence[str], schema: schema_pb2.Schema) -> None:
        self._schema = schema
        self._counted: dict[str, dict[str, dict[Split, Counting]]] = {c: {} for c in columns}

    def add(self, split: Split, table: pa.Table) -> None:
        """Take more rows of one part of the window.

        Raises:
            BadDefinitionError: A column has too many values to be sliced by.
        """
        for column, values in self._counted.items():
            for value in pc.unique(table[column].drop_null()):
                name = str(value.as_py())
                if name not in values:
                    _check_count(column, len(values) + 1)
                    values[name] = {s: Counting(self._schema, _TOGETHER) for s in Split}
                values[name][split].add(table.filter(pc.equal(table[column], value)))

    def slices(self) -> Iterator[Slice]:
        """All of them, by column and value."""
        for column, values in self._counted.items():
            for value, parts in sorted(values.items()):
                train, holdout = parts[Split.TRAIN], parts[Split.HOLDOUT]
                yield Slice(
                    name=f"{column} = {value}",
                    column=column,
                    train=train.result(),
                    train_rows=train.rows,
                    holdout=holdout.result(),
                    holdout_rows=holdout.rows,
                )


def _check_count(column: str, values: int) -> None:
    if values > MOST_VALUES:
        raise BadDefinitionError(
            f"pipeline.yaml: validation.slices: column '{column}' has more than {MOST_VALUES} "
            "values in this window; slice by a column with fewer.",
            value=column,
            limit=str(MOST_VALUES),
        )
