"""From the lake's record batches to a model's inputs and labels, a column at a time.

Training and evaluation read rows through here, so that both mean the same by a row and its label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.data.pinned import PinnedFile
from nightshift.data.reader import iter_batches
from nightshift.definition.model import Feature, FeatureType, Label
from nightshift.errors import BadDataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MISSING_STRING = ""
"""What the model gets for a null string, in training as from a client that has none."""


@dataclass(frozen=True)
class Examples:
    """Rows as a model takes them.

    Attributes:
        inputs: One array per feature, shape [rows]: object (str), int64 or float32.
        labels: Shape [rows], float32, each 0 or 1.
        extras: Further columns as Arrow arrays, of the same rows.
    """

    inputs: dict[str, np.ndarray]
    labels: np.ndarray
    extras: dict[str, pa.Array]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ExampleReader:
    """Reads a snapshot's files by a pipeline's declaration.

    Attributes:
        features: The declared features.
        label: How the label is made.
        extras: Columns wanted beside the features, such as slices.
    """

    features: Mapping[str, Feature]
    label: Label
    extras: Sequence[str] = ()

    @property
    def columns(self) -> list[str]:
        """Every lake column that is read."""
        return list(dict.fromkeys([*self.features, self.label.column, *self.extras]))

    def batches(self, files: Sequence[tuple[PinnedFile, Path]]) -> Iterator[pa.RecordBatch]:
        """Record batches whose features have their declared types and whose rows have a label.

        The last column, ``__label``, is the 0/1 label as float32.

        Raises:
            BadDataError: Names the file and column that cannot be what the definition says.
        """
        for file, path in files:
            for batch in iter_batches([(file, path)], self.columns):
                yield self.checked(batch, file.key)

    def examples(self, batch: pa.RecordBatch) -> Examples:
        """The arrays of one batch from :meth:`batches`."""
        return Examples(
            inputs={n: to_numpy(batch.column(n), f.type) for n, f in self.features.items()},
            labels=batch.column(_LABEL).to_numpy(),
            extras={name: batch.column(name) for name in self.extras},
        )

    def checked(self, batch: pa.RecordBatch, file: str) -> pa.RecordBatch:
        """One raw batch as :meth:`batches` gives it; ``file`` is named in errors."""
        import pyarrow as pa

        batch = _rows_with_label(batch, self.label, file)
        columns = {name: batch.column(name) for name in self.extras}
        for name, feature in self.features.items():
            columns[name] = _typed(batch.column(name), feature.type, name, file)
        columns[_LABEL] = _labels(batch.column(self.label.column), self.label, file)
        return pa.RecordBatch.from_pydict(columns)


_LABEL = "__label"


def concatenate(batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """All batches as one.

    Raises:
        BadDataError: There is not a single row.
    """
    import pyarrow as pa

    filled = [batch for batch in batches if batch.num_rows]
    if not filled:
        raise BadDataError("No row of the window has a label: there is nothing to learn from.")
    return pa.Table.from_batches(filled).combine_chunks().to_batches()[0]


def to_numpy(column: pa.Array, type_: FeatureType) -> np.ndarray:
    """One checked column as the array that TensorFlow takes, shape [rows]."""
    import numpy as np

    if type_ is FeatureType.FLOAT:
        return column.to_numpy().astype(np.float32)
    if type_ is FeatureType.INT:
        return column.to_numpy()
    # One Python string per distinct value, not per row.
    encoded = column.dictionary_encode()
    words = np.array(encoded.dictionary.to_pylist(), dtype=object)
    return words[encoded.indices.to_numpy()]


def _rows_with_label(batch: pa.RecordBatch, label: Label, file: str) -> pa.RecordBatch:
    column = batch.column(label.column)
    if not column.null_count:
        return batch
    if label.missing == "error":
        raise BadDataError(
            f"{file}: label column {label.column!r} is null in {column.null_count} of "
            f"{len(column)} rows; the limit is 0. Set 'label.missing: drop' in pipeline.yaml to "
            "leave such rows out.",
            file=file,
            column=label.column,
            value=column.null_count,
            limit=0,
        )
    return batch.filter(column.is_valid())


def _labels(column: pa.Array, label: Label, file: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise _wrong_type(file, label.column, column.type, "a number or a boolean")
    if label.above is not None:
        return pc.greater(column, label.above).cast(pa.float32())
    wrong = len(column) - (pc.sum(pc.is_in(column, pa.array([0, 1], column.type))).as_py() or 0)
    if wrong:
        raise BadDataError(
            f"{file}: label column {label.column!r} holds {wrong} values that are neither 0 nor 1. "
            "Set 'label.above' in pipeline.yaml to make a label from a number.",
            file=file,
            column=label.column,
            value=wrong,
            limit=0,
        )
    return column.cast(pa.float32())


def _typed(column: pa.Array, type_: FeatureType, name: str, file: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    target = {
        FeatureType.STRING: pa.string(),
        FeatureType.INT: pa.int64(),
        FeatureType.FLOAT: pa.float64(),
    }[type_]
    try:
        column = column.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise _wrong_type(file, name, column.type, type_) from None
    if type_ is FeatureType.STRING:
        return column.fill_null(MISSING_STRING)
    wrong = column.null_count
    if type_ is FeatureType.FLOAT:
        wrong = len(column) - (pc.sum(pc.is_finite(column)).as_py() or 0)
    if wrong:
        raise BadDataError(
            f"{file}: feature {name!r} has no finite number in {wrong} of {len(column)} rows; the "
            "limit is 0, for a model has no input that means 'missing'. Fill the column in the "
            "lake, or leave the feature out.",
            file=file,
            column=name,
            value=wrong,
            limit=0,
        )
    return column


def _wrong_type(file: str, column: str, found: pa.DataType, expected: str) -> BadDataError:
    return BadDataError(
        f"{file}: column {column!r} holds {found}, pipeline.yaml expects {expected}.",
        file=file,
        column=column,
        value=str(found),
        limit=expected,
    )
