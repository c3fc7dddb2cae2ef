"""Find a day whose rows were there before: yesterday's export delivered again as today's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nightshift.data.pinned import PinnedFile
from nightshift.validation.findings import Finding, Severity

_SHARE = 0.5
_FACTOR = 2.0
"""Rows of few coarse columns do recur: then twice what is usual, where that is more than half."""
_TOGETHER = 1_000_000

Hashes: TypeAlias = NDArray[np.uint64]


class Repeats:
    """A hash of every row by day.

    Columns with one value all day, such as the weekday, say nothing of a row and are left out: who
    delivers a day again may well set them right.
    """

    def __init__(self) -> None:
        self._hashes: dict[date, list[Hashes]] = {}
        self._keys: dict[date, str] = {}

    def add(self, file: PinnedFile, table: pa.Table) -> None:
        """Take a file's rows, without the date column; images as bytes."""
        hashes = self._hashes.setdefault(file.date, [])
        varying = table.select([n for n in table.column_names if _varies(table[n])])
        for start in range(0, table.num_rows, _TOGETHER):
            frame = varying.slice(start, _TOGETHER).to_pandas()
            hashes.append(pd.util.hash_pandas_object(frame, index=False).to_numpy())
        self._keys[file.date] = file.key

    def findings(self) -> Iterator[Finding]:
        """An error where most rows of the newest day are another day's."""
        days = {day: _counted(self._hashes[day]) for day in sorted(self._hashes)}
        if len(days) < 2:
            return
        *others, newest = days
        shares = {day: _shared(days[newest], days[day]) for day in others}
        source = max(others, key=lambda day: (shares[day], day))
        usual = max((_shared(days[source], days[d]) for d in others if d != source), default=0.0)
        share, limit = shares[source], max(_SHARE, min(_FACTOR * usual, 1 - 1e-9))
        if share > limit:
            yield self._finding(newest, source, share, limit)

    def _finding(self, newest: date, source: date, share: float, limit: float) -> Finding:
        file = self._keys[newest]
        return Finding(
            severity=Severity.ERROR,
            column="",
            rule="repeated day",
            value=f"{share:.1%} of the rows",
            limit=f"{limit:.1%}",
            where=newest.isoformat(),
            text=f"the rows on {newest} ({file}): {share:.1%} are those of {source} in all columns "
            f"but the date, at most {limit:.1%} may be: a day delivered twice",
            file=file,
        )


def _varies(column: pa.ChunkedArray) -> bool:
    return len(column) > 0 and not pc.all(pc.equal(column, column[0])).as_py()


def _counted(parts: list[Hashes]) -> tuple[Hashes, NDArray[np.int64]]:
    """Each different row once, with how often it is there."""
    return np.unique(np.concatenate(parts), return_counts=True)


def _shared(
    one: tuple[Hashes, NDArray[np.int64]], other: tuple[Hashes, NDArray[np.int64]]
) -> float:
    """Share of the first day's rows that the second has too, each row as often as it is there."""
    _, at, other_at = np.intersect1d(one[0], other[0], assume_unique=True, return_indices=True)
    both = np.minimum(one[1][at], other[1][other_at])
    return float(both.sum() / max(one[1].sum(), 1))
