"""Hold each day by itself to the schema's limits: a bad day must not hide among ninety good ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from nightshift.data.pinned import PinnedFile, Split
from nightshift.validation.findings import Finding, Severity
from nightshift.validation.schema import Limits

_EXAMPLES = 3


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


class DailyCheck:
    """Counts files as they are read; :meth:`findings` judges their days."""

    def __init__(self, limits: Sequence[Limits]) -> None:
        self.limits = limits
        self._days: dict[date, dict[str, Tally]] = {}
        self._splits: dict[date, Split] = {}

    def add(self, file: PinnedFile, table: pa.Table) -> None:
        """Count one file's rows (all of them, or some of them at a time)."""
        day = self._days.setdefault(file.date, {limit.column: Tally() for limit in self.limits})
        self._splits[file.date] = file.split
        for limit in self.limits:
            day[limit.column].add(_tally(file, table[limit.column], limit))

    def findings(self) -> list[Finding]:
        """Every broken limit, the newest day first; unlisted values within the share as warnings."""
        found: list[Finding] = []
        for day in sorted(self._days, reverse=True):
            for limit in self.limits:
                found += _judge(day, self._splits[day], limit, self._days[day][limit.column])
        return found


def _tally(file: PinnedFile, column: pa.ChunkedArray, limit: Limits) -> Tally:
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


def _judge(day: date, split: Split, limit: Limits, tally: Tally) -> Iterable[Finding]:
    if tally.rows == 0:
        return
    present = 1 - tally.empty / tally.rows
    if present < limit.min_present:
        yield _finding(
            day, limit, tally, "presence.min_fraction",
            f"{tally.empty / tally.rows:.2%} empty",
            f"at most {1 - limit.min_present:.4g} of the rows empty",
            f"{tally.empty:,} of {tally.rows:,} rows are empty ({tally.empty / tally.rows:.1%}), "
            f"the schema allows {1 - limit.min_present:.1%}",
        )  # fmt: skip
    if tally.beyond:
        yield _beyond(day, limit, tally)
    if tally.strangers:
        yield _unlisted(day, split, limit, tally)


def _beyond(day: date, limit: Limits, tally: Tally) -> Finding:
    low_broken = limit.low is not None and tally.low is not None and tally.low < limit.low
    high_broken = limit.high is not None and tally.high is not None and tally.high > limit.high
    extremes = [v for v, broken in ((tally.low, low_broken), (tally.high, high_broken)) if broken]
    value = " and ".join(f"{v:.10g}" for v in extremes if v is not None)
    allowed = _range(limit)
    return _finding(
        day, limit, tally, "domain range", value, allowed,
        f"{tally.beyond:,} of {tally.rows:,} values are outside {allowed}: as far as {value} "
        "(another unit?)",
    )  # fmt: skip


def _range(limit: Limits) -> str:
    low = "" if limit.low is None else f"{limit.low:.10g}"
    high = "" if limit.high is None else f"{limit.high:.10g}"
    return f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"


def _unlisted(day: date, split: Split, limit: Limits, tally: Tally) -> Finding:
    count = tally.strangers.total()
    share = count / max(tally.rows - tally.empty, 1)
    allowed = 1 - limit.min_mass
    examples = ", ".join(f"'{v}' ({n:,})" for v, n in tally.strangers.most_common(_EXAMPLES))
    more = len(tally.strangers) - _EXAMPLES
    examples += f" and {more} more" if more > 0 else ""
    severity = Severity.WARNING if split is Split.HOLDOUT else Severity.INFO
    if share > allowed:
        severity = Severity.ERROR
    domain = len(limit.domain or ())
    closed = "the domain is closed" if allowed == 0 else f"the schema allows {allowed:.1%}"
    return _finding(
        day, limit, tally, "distribution_constraints.min_domain_mass" if allowed else "domain",
        f"{share:.2%}", f"{allowed:.2%}",
        f"{examples} not among the {domain} listed values: {share:.2%} of the rows, {closed}",
        severity,
    )  # fmt: skip


def _finding(
    day: date,
    limit: Limits,
    tally: Tally,
    rule: str,
    value: str,
    allowed: str,
    text: str,
    severity: Severity = Severity.ERROR,
) -> Finding:
    file = tally.file.key if tally.file else None
    place = f" ({file})" if file else ""
    return Finding(
        severity=severity,
        column=limit.column,
        rule=rule,
        value=value,
        limit=allowed,
        where=day.isoformat(),
        text=f"column '{limit.column}' on {day}{place}: {text}",
        file=file,
    )
