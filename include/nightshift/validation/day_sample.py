"""The window's days side by side: counts of each column's values, and of pairs of columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nightshift.data.pinned import PinnedFile
from nightshift.validation.images import described_images

_ROWS = 500_000
"""Rows kept of a whole window: memory stays flat, and a share of 1 % is still counted well."""
_CATEGORIES = 100
"""Values told apart in a column; all rarer ones are one value."""
_QUANTILES = np.linspace(0.05, 0.95, 19)

Counts: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int64]


class DaySample:
    """Rows of each day, evenly spaced in the order of its file, and how many rows there are.

    Args:
        files: How many files the window has: each gives its share of the rows kept.
    """

    def __init__(self, files: int) -> None:
        self._share = max(_ROWS // max(files, 1), 1)
        self._tables: list[pa.Table] = []
        self._dates: list[date] = []
        self._of_images: set[str] = set()
        self.rows: dict[date, int] = {}
        self.keys: dict[date, str] = {}

    def add(self, file: PinnedFile, table: pa.Table) -> None:
        """Take a file's rows; an image is seen as a few numbers."""
        step = -(-table.num_rows // self._share) or 1
        described = described_images(table.take(np.arange(0, table.num_rows, step)))
        self._tables.append(described)
        self._of_images |= set(described.column_names) - set(table.column_names)
        self._dates.append(file.date)
        self.keys[file.date] = file.key
        self.rows[file.date] = self.rows.get(file.date, 0) + table.num_rows

    @property
    def days(self) -> list[date]:
        """All days that were added, in order."""
        return sorted(self.rows)

    def binned(self) -> BinnedDays:
        """Every column as small whole numbers, the same for all days."""
        table = pa.concat_tables(self._tables)
        lengths = [t.num_rows for t in self._tables]
        at: Codes = np.repeat([self.days.index(day) for day in self._dates], lengths)
        # Only the days before set the bins: what the newest has beyond them stands out.
        known = at < len(self.days) - 1
        codes = {n: _codes(table[n], known) for n in table.column_names}
        return BinnedDays(self.days, at, codes, frozenset(self._of_images))


class BinnedDays:
    """The sample's rows as numbers from 0 for each column; 0 is an empty value.

    Attributes:
        of_images: The columns that describe images.
    """

    def __init__(
        self,
        days: Sequence[date],
        at: Codes,
        codes: dict[str, Codes],
        of_images: frozenset[str] = frozenset(),
    ) -> None:
        self._days = len(days)
        self._at = at
        self._codes = codes
        self.of_images = of_images

    @property
    def columns(self) -> list[str]:
        """The columns, in the lake's order; an image stands as several."""
        return list(self._codes)

    def counts(self, column: str) -> Counts:
        """Rows by day and value: shape [days, values]."""
        return self._table(self._codes[column])

    def pair_counts(self, first: str, second: str, values: int) -> Counts:
        """Rows by day and both columns' values, each cut to so many: [days, values, values]."""
        one, other = (_coarse(self._codes[c], values) for c in (first, second))
        flat = self._table(one * values + other, values * values)
        return flat.reshape(self._days, values, values)

    def _table(self, codes: Codes, width: int = 0) -> Counts:
        width = width or int(codes.max(initial=0)) + 1
        flat = np.bincount(self._at * width + codes, minlength=self._days * width)
        return flat.reshape(self._days, width).astype(np.float64)


def _codes(column: pa.ChunkedArray, known: NDArray[np.bool_]) -> Codes:
    if pa.types.is_string(column.type):
        return _category_codes(column)
    numbers = pc.cast(column, pa.float64()).to_numpy()
    empty = np.isnan(numbers)
    usual = numbers[known & np.isfinite(numbers)]
    if not usual.size:
        return np.where(empty, 0, 1)
    # Below all and above all are bins of their own.
    edges = np.unique(
        [usual.min(), *np.quantile(usual, _QUANTILES), np.nextafter(usual.max(), np.inf)]
    )
    return np.where(empty, 0, np.searchsorted(edges, numbers, side="right") + 1)


def _category_codes(column: pa.ChunkedArray) -> Codes:
    """By frequency, so that cutting a code keeps the most frequent values apart."""
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    indices = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    frequency = np.bincount(indices[indices >= 0], minlength=len(encoded.dictionary))
    rank: Codes = np.empty(len(frequency) + 1, np.int64)
    rank[np.argsort(-frequency, kind="stable")] = np.arange(1, len(frequency) + 1)
    rank[-1] = 0
    return np.minimum(rank[indices], _CATEGORIES + 1)


def _coarse(codes: Codes, values: int) -> Codes:
    """Neighbouring codes as one: of a category's rare values, and of quantiles side by side."""
    highest = int(codes.max(initial=0))
    if highest < values:
        return codes
    if highest > len(_QUANTILES) + 3:
        return np.minimum(codes, values - 1)
    return -(-codes * (values - 1) // highest)
