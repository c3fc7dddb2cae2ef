"""Count one column of one file or day: what is empty, unlisted or out of range."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from nightshift.data.pinned import PinnedFile
from nightshift.validation.limits import Limits


@dataclass
class Tally:
    """Counts of one column over one file or day.

    Attributes:
        rows: Rows looked at.
        empty: Rows without a value (null or NaN).
        strangers: Values outside the domain, each with its number of rows.
        beyond: Values outside the range.
        low: Smallest value; None without values or for text.
        high: Largest value.
        file: The file with most of what is wrong.
        wrong: How much that was, to find ``file`` when tallies are added.
    """

    rows: int = 0
    empty: int = 0
    strangers: Counter[str] = field(default_factory=Counter)
    beyond: int = 0
    low: float | None = None
    high: float | None = None
    file: PinnedFile | None = None
    wrong: int = -1

    def add(self, other: Tally) -> None:
        """Take in another file's counts of the same column."""
        self.rows += other.rows
        self.empty += other.empty
        self.strangers += other.strangers
        self.beyond += other.beyond
        lows = [v for v in (self.low, other.low) if v is not None]
        highs = [v for v in (self.high, other.high) if v is not None]
        self.low, self.high = min(lows, default=None), max(highs, default=None)
        if other.wrong > self.wrong:
            self.file, self.wrong = other.file, other.wrong

    @property
    def unlisted_share(self) -> float:
        """Share of the values that are outside the domain, 0 to 1."""
        return self.strangers.total() / max(self.rows - self.empty, 1)


def count(file: PinnedFile, column: pa.ChunkedArray, limit: Limits) -> Tally:
    """The tally of one column of one file."""
    missing = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
    empty = pc.sum(missing).as_py() or 0
    tally = Tally(rows=len(column), empty=empty, file=file)
    if limit.domain is not None and pa.types.is_string(column.type):
        tally.strangers = _strangers(column, limit.domain)
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        _count_range(tally, column.filter(pc.invert(missing)), limit)
    tally.wrong = tally.empty + tally.strangers.total() + tally.beyond
    return tally


def _strangers(column: pa.ChunkedArray, domain: frozenset[str]) -> Counter[str]:
    listed = pc.is_in(column, value_set=pa.array([*sorted(domain), None], pa.string()))
    unlisted = column.filter(pc.invert(listed))
    return Counter({v["values"]: v["counts"] for v in unlisted.value_counts().to_pylist()})


def _count_range(tally: Tally, values: pa.ChunkedArray, limit: Limits) -> None:
    extremes = pc.min_max(values).as_py()
    tally.low, tally.high = extremes["min"], extremes["max"]
    if tally.low is None or tally.high is None:
        return
    if limit.low is not None and tally.low < limit.low:
        tally.beyond += pc.sum(pc.less(values, limit.low)).as_py()
    if limit.high is not None and tally.high > limit.high:
        tally.beyond += pc.sum(pc.greater(values, limit.high)).as_py()
