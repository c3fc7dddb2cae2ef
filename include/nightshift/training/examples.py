"""From the lake's record batches to a model's inputs and labels, a column at a time.

Training and evaluation read rows through here, so that both mean the same by a row and its label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.data.pinned import PinnedFile
from nightshift.data.pixels import pixels_of, wrong_lengths
from nightshift.data.reader import BATCH_ROWS, iter_batches
from nightshift.definition.model import Feature, FeatureType, Label
from nightshift.errors import BadDataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MISSING_STRING = ""
"""What the model gets for a null string, in training as from a client that has none."""


_BATCH_PIXELS = 64 * 2**20
"""Bytes of one image column that are read at once."""


@dataclass(frozen=True)
class Examples:
    """Rows as a model takes them.

    Attributes:
        inputs: One array per feature, shape [rows]: object (str), int64 or float32; an image
            [rows, height, width, channels] as uint8, a quarter of what the model's float32 takes.
        labels: Shape [rows], float32, each 0 or 1, or a class's number from 0.
        extras: Further columns as Arrow arrays, of the same rows.
    """

    inputs: dict[str, np.ndarray]
    labels: np.ndarray
    extras: dict[str, pa.Array]

    def __len__(self) -> int:
        return len(self.labels)

    def every(self, step: int, most: int, start: int = 0) -> Examples:
        """Every ``step``-th row from ``start`` on, at most so many; without the extras."""
        at = slice(start, start + step * most, step)
        inputs = {name: values[at] for name, values in self.inputs.items()}
        return Examples(inputs, self.labels[at], {})


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

    def batches(self, files: Iterable[tuple[PinnedFile, Path]]) -> Iterator[pa.RecordBatch]:
        """Record batches whose features have their declared types and whose rows have a label.

        The last column, ``__label``, is the label as float32: 0, 1 or a class's number.

        Raises:
            BadDataError: Names the file and column that cannot be what the definition says.
        """
        for file, path in files:
            for batch in iter_batches([(file, path)], self.columns, rows_at_once(self.features)):
                yield self.checked(batch, file.key)

    def examples(self, batch: pa.RecordBatch) -> Examples:
        """The arrays of one batch from :meth:`batches`."""
        return Examples(
            inputs={n: to_numpy(batch.column(n), f) for n, f in self.features.items()},
            labels=batch.column(_LABEL).to_numpy(),
            extras={name: batch.column(name) for name in self.extras},
        )

    def checked(self, batch: pa.RecordBatch, file: str) -> pa.RecordBatch:
        """One raw batch as :meth:`batches` gives it; ``file`` is named in errors."""
        import pyarrow as pa

        batch = _rows_with_label(batch, self.label, file)
        columns = {name: batch.column(name) for name in self.extras}
        for name, feature in self.features.items():
            columns[name] = _typed(batch.column(name), feature, name, file)
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
        raise no_rows()
    return pa.Table.from_batches(filled).combine_chunks().to_batches()[0]


def first_rows(batches: Iterable[pa.RecordBatch], limit: int) -> tuple[list[pa.RecordBatch], int]:
    """The first ``limit`` rows of all, and how many there are in all."""
    kept: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        if count < limit:
            kept.append(batch.slice(0, limit - count))
        count += batch.num_rows
    return kept, count


def no_rows() -> BadDataError:
    """The error of a window in which no row has a label."""
    return BadDataError("No row of the window has a label: there is nothing to learn from.")


def rows_at_once(features: Mapping[str, Feature]) -> int:
    """How many rows are read together: as few as keep a batch of large images small."""
    widest = max((prod(f.shape) for f in features.values() if f.shape), default=1)
    return max(1, min(BATCH_ROWS, _BATCH_PIXELS // widest))


def to_numpy(column: pa.Array, feature: Feature) -> np.ndarray:
    """One checked column as an array: see :attr:`Examples.inputs`."""
    import numpy as np

    if feature.shape is not None:
        return pixels_of(column, feature.shape)
    if feature.type is FeatureType.FLOAT:
        return column.to_numpy().astype(np.float32)
    if feature.type is FeatureType.INT:
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
    if label.classes:
        return _class_numbers(column, label, file)
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


def _class_numbers(column: pa.Array, label: Label, file: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = pa.array(range(len(label.classes)), pa.int64()).cast(column.type)
    strangers = column.filter(pc.invert(pc.is_in(column, numbers)))
    if len(strangers):
        last = len(label.classes) - 1
        raise BadDataError(
            f"{file}: label column {label.column!r} holds {len(strangers)} values that are no "
            f"number of a class, such as {strangers[0]}; label.classes in pipeline.yaml names "
            f"{len(label.classes)}, with the numbers 0 to {last}.",
            file=file,
            column=label.column,
            value=strangers[0].as_py(),
            limit=f"0 to {last}",
        )
    return column.cast(pa.float32())


def _image(column: pa.Array, shape: tuple[int, int, int], name: str, file: str) -> pa.Array:
    import pyarrow as pa

    if not (pa.types.is_binary(column.type) or pa.types.is_null(column.type)):
        raise _wrong_type(file, name, column.type, "image (binary)")
    size = prod(shape)
    wrong, length = wrong_lengths(column.cast(pa.binary()), size)
    if wrong or column.null_count:
        found = "no value" if length is None else f"{length:,} bytes"
        raise BadDataError(
            f"{file}: image {name!r} has {found} in the first of {wrong + column.null_count} wrong "
            f"rows, of {len(column)}; expected {size:,} bytes "
            f"({' x '.join(map(str, shape))}, row by row). Write the images again, or correct "
            "the shape in pipeline.yaml.",
            file=file,
            column=name,
            value=length,
            limit=size,
        )
    return column


def _typed(column: pa.Array, feature: Feature, name: str, file: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if feature.shape is not None:
        return _image(column, feature.shape, name, file)
    type_ = feature.type
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
