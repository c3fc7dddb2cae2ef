"""Hold each day by itself to the schema's limits: one bad day must not hide among ninety."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from nightshift.data.pinned import PinnedFile, Split
from nightshift.validation.findings import Finding, Severity
from nightshift.validation.limits import Limits
from nightshift.validation.tally import Tally, count

_EXAMPLES = 3
_ROUNDING = 1e-9
"""A share that equals its limit is within it, whatever binary fractions make of both."""
_MASS = "distribution_constraints.min_domain_mass"


@dataclass(frozen=True)
class _Breach:
    """A broken limit in words, before it is said of a column and a day."""

    rule: str
    value: str
    allowed: str
    text: str
    severity: Severity = Severity.ERROR


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
            day[limit.column].add(count(file, table[limit.column], limit))

    def findings(self) -> list[Finding]:
        """Every broken limit, the newest day first.

        Unlisted values within the allowed share are one warning per column, about the holdout:
        what was new a week ago is known by now, and stays in the report alone.
        """
        found: list[Finding] = []
        for day in sorted(self._days, reverse=True):
            for limit in self.limits:
                tally = self._days[day][limit.column]
                found += [_finding(f"on {day}", day, limit, tally, b) for b in _judge(limit, tally)]
        return [*found, *self._new_values(found)]

    def _new_values(self, found: Sequence[Finding]) -> Iterable[Finding]:
        held_out = [day for day, split in self._splits.items() if split is Split.HOLDOUT]
        stopped = {(f.column, f.where) for f in found if f.severity is Severity.ERROR}
        for limit in self.limits:
            days = {day: self._days[day][limit.column] for day in sorted(held_out)}
            new = {
                day: tally
                for day, tally in days.items()
                if tally.strangers and (limit.column, day.isoformat()) not in stopped
            }
            if new:
                yield _new_values(limit, new)


def _judge(limit: Limits, tally: Tally) -> Iterable[_Breach]:
    if tally.rows and tally.empty / tally.rows > 1 - limit.min_present + _ROUNDING:
        yield _empty(limit, tally)
    if tally.beyond:
        yield _beyond(limit, tally)
    if tally.strangers:
        yield _unlisted(limit, tally)


def _empty(limit: Limits, tally: Tally) -> _Breach:
    share, allowed = tally.empty / tally.rows, 1 - limit.min_present
    return _Breach(
        rule="presence.min_fraction",
        value=f"{share:.2%} empty",
        allowed=f"{allowed:.2%} empty",
        text=f"{tally.empty:,} of {tally.rows:,} rows are empty ({share:.1%}), the schema allows "
        f"{allowed:.1%}",
    )


def _beyond(limit: Limits, tally: Tally) -> _Breach:
    low_broken = limit.low is not None and tally.low is not None and tally.low < limit.low
    high_broken = limit.high is not None and tally.high is not None and tally.high > limit.high
    extremes = [v for v, broken in ((tally.low, low_broken), (tally.high, high_broken)) if broken]
    value = " and ".join(f"{v:.10g}" for v in extremes if v is not None)
    allowed = _range(limit)
    return _Breach(
        rule="domain range",
        value=value,
        allowed=allowed,
        text=f"{tally.beyond:,} of {tally.rows:,} values are outside {allowed}: as far as {value} "
        "(another unit?)",
    )


def _range(limit: Limits) -> str:
    low = "" if limit.low is None else f"{limit.low:.10g}"
    high = "" if limit.high is None else f"{limit.high:.10g}"
    return f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"


def _unlisted(limit: Limits, tally: Tally) -> _Breach:
    share, allowed = tally.unlisted_share, 1 - limit.min_mass
    closed = "the domain is closed" if allowed == 0 else f"the schema allows {allowed:.1%}"
    return _Breach(
        rule=_MASS if allowed else "domain",
        value=f"{share:.2%}",
        allowed=f"{allowed:.2%}",
        text=f"{_examples(tally.strangers)} not among the {len(limit.domain or ())} listed values: "
        f"{share:.2%} of the rows, {closed}",
        severity=Severity.ERROR if share > allowed + _ROUNDING else Severity.INFO,
    )


def _new_values(limit: Limits, days: Mapping[date, Tally]) -> Finding:
    """One warning for all unlisted values of the holdout that stay within the allowed share."""
    total: Counter[str] = Counter()
    for tally in days.values():
        total += tally.strangers
    share, allowed = max(t.unlisted_share for t in days.values()), 1 - limit.min_mass
    last = max(days)
    breach = _Breach(
        rule=_MASS,
        value=f"{share:.2%}",
        allowed=f"{allowed:.2%}",
        text=f"{_examples(total)} not among the {len(limit.domain or ())} listed values: at most "
        f"{share:.2%} of a day's rows, the schema allows {allowed:.1%}. Add them to the domain if "
        "they are right",
        severity=Severity.WARNING,
    )
    span = f"on {last}" if len(days) == 1 else f"on {len(days)} days up to {last}"
    return _finding(span, last, limit, days[last], breach)


def _examples(strangers: Counter[str]) -> str:
    shown = ", ".join(f"'{v}' ({n:,})" for v, n in strangers.most_common(_EXAMPLES))
    more = len(strangers) - _EXAMPLES
    return f"{shown} and {more} more" if more > 0 else shown


def _finding(span: str, day: date, limit: Limits, tally: Tally, breach: _Breach) -> Finding:
    file = tally.file.key if tally.file else None
    place = f" ({file})" if file else ""
    return Finding(
        severity=breach.severity,
        column=limit.column,
        rule=breach.rule,
        value=breach.value,
        limit=breach.allowed,
        where=day.isoformat(),
        text=f"column '{limit.column}' {span}{place}: {breach.text}",
        file=file,
    )
