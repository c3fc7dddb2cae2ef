"""What the train part of a window holds, per feature: all that ``model.py`` may know of the data.

One pass over record batches, merged as it goes, so that a window larger than memory works.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightshift.data.pixels import pixels_of
from nightshift.definition.model import Feature, FeatureType

if TYPE_CHECKING:
    import pyarrow as pa

LARGEST_INTEGER_VOCABULARY = 10_000
"""Integers with more distinct values than this are quantities: they get no vocabulary."""

_DTYPES = {
    FeatureType.STRING: "string",
    FeatureType.INT: "int64",
    FeatureType.FLOAT: "float32",
    FeatureType.IMAGE: "float32",
}
_WITHOUT_VOCABULARY = frozenset({FeatureType.FLOAT, FeatureType.IMAGE})


@dataclass(frozen=True)
class FeatureStatistics:
    """One feature over all train rows.

    Attributes:
        name: The column.
        type: Its declared type.
        count: Values that are there.
        missing: Nulls.
        vocabulary: Distinct values, sorted: all strings, or integers where there are at most
            ``LARGEST_INTEGER_VOCABULARY``; else empty.
        mean: Arithmetic mean, of an image over all its pixels and channels; 0 for strings and for
            a column without values.
        variance: Population variance (divided by ``count``, of an image by the number of all
            pixels), in the square of the column's unit.
        minimum: Smallest number; 0 for strings and for a column without values.
        maximum: Largest number; likewise.
        shape: Height, width and channels of an image; None for everything else.
    """

    name: str
    type: FeatureType
    count: int
    missing: int
    vocabulary: tuple[str, ...] | tuple[int, ...]
    mean: float
    variance: float
    minimum: float
    maximum: float
    shape: tuple[int, int, int] | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row in the model's input: an image's own, else [1]."""
        return self.shape or (1,)

    @property
    def dtype(self) -> str:
        """The TensorFlow type of the model's input."""
        return dtype_of(self.type)


def dtype_of(type_: FeatureType) -> str:
    """The TensorFlow type in which a feature of this type reaches the model."""
    return _DTYPES[type_]


def compute_statistics(
    batches: Iterable[pa.RecordBatch], features: Mapping[str, Feature]
) -> dict[str, FeatureStatistics]:
    """Statistics of every declared feature, in the order of declaration.

    Args:
        batches: Record batches that hold at least the features' columns, of the declared types.
        features: The declared features.
    """
    tallies = {name: _Tally(name, feature) for name, feature in features.items()}
    for batch in batches:
        for name, tally in tallies.items():
            tally.add(batch.column(name))
    return {name: tally.result() for name, tally in tallies.items()}


@dataclass
class _Tally:
    """One feature's running totals."""

    name: str
    feature: Feature
    count: int = 0
    numbers: int = 0
    """Numbers that mean and variance are of: values, or pixels."""
    missing: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared deviations from the mean."""
    minimum: float = float("inf")
    maximum: float = float("-inf")
    distinct: set[str | int] | None = field(default_factory=set)

    def add(self, column: pa.Array) -> None:
        present = len(column) - column.null_count
        self.missing += column.null_count
        if present and self.type is FeatureType.IMAGE:
            self._add_pixels(column.drop_null())
        elif present and self.type is not FeatureType.STRING:
            self._add_numbers(column, present)
        self.count += present
        if self.distinct is not None and self.type not in _WITHOUT_VOCABULARY:
            self.distinct.update(column.drop_null().unique().to_pylist())
            if self.type is FeatureType.INT and len(self.distinct) > LARGEST_INTEGER_VOCABULARY:
                self.distinct = None

    @property
    def type(self) -> FeatureType:
        return self.feature.type

    def _add_numbers(self, column: pa.Array, present: int) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        values = column.cast(pa.float64())
        extremes = pc.min_max(values).as_py()
        self._merge(present, pc.mean(values).as_py(), pc.variance(values).as_py())
        self.minimum = min(self.minimum, extremes["min"])
        self.maximum = max(self.maximum, extremes["max"])

    def _add_pixels(self, column: pa.Array) -> None:
        import numpy as np

        assert self.feature.shape is not None
        pixels = pixels_of(column, self.feature.shape)
        # 256 counts say everything, and neither copy the pixels nor round their sums.
        counts = np.bincount(pixels.ravel(), minlength=256)
        values: np.ndarray = np.arange(256, dtype=np.float64)
        mean = float(counts @ values) / pixels.size
        self._merge(pixels.size, mean, float(counts @ (values - mean) ** 2) / pixels.size)
        there = np.flatnonzero(counts)
        self.minimum = min(self.minimum, float(there[0]))
        self.maximum = max(self.maximum, float(there[-1]))

    def _merge(self, present: int, mean: float, variance: float) -> None:
        # Chan, Golub and LeVeque (1979), "Updating formulae and a pairwise algorithm": merges
        # two parts' means and squared deviations without a second pass and without cancellation.
        total = self.numbers + present
        delta = mean - self.mean
        self.squares += variance * present + delta * delta * self.numbers * present / total
        self.mean += delta * present / total
        self.numbers = total

    def result(self) -> FeatureStatistics:
        numeric = self.type is not FeatureType.STRING and self.count > 0
        return FeatureStatistics(
            name=self.name,
            type=self.type,
            count=self.count,
            missing=self.missing,
            vocabulary=tuple(sorted(self.distinct or ())),  # type: ignore[type-var, arg-type]
            mean=self.mean,
            variance=self.squares / self.numbers if self.numbers else 0.0,
            minimum=self.minimum if numeric else 0.0,
            maximum=self.maximum if numeric else 0.0,
            shape=self.feature.shape,
        )
