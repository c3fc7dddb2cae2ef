"""Hold the newest day to what is usual in its own window: no limit has to be written for it.

Every measure is taken of each day against the others, so that the window itself says how much days
differ: by weekday, by season, by chance. A day is unusual where it differs much more than that.
Measured on the 276 windows of ``flights`` in 2013 and the 50 of ``fashion``: see each limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, rel_entr

from nightshift.validation.day_sample import BinnedDays, Counts, DaySample
from nightshift.validation.findings import Finding, Severity

FEWEST_DAYS = 7
"""Fewer other days cannot say what is usual."""
_DISTANCE_FACTOR, _DISTANCE_FLOOR = 2.5, 0.03
"""A spread is unusual beyond this many times the others' greatest distance, and never below the
floor. Of 2,760 columns of real days one was: the departures of Thanksgiving (0.036)."""
_STOP_FACTOR, _STOP_FLOOR = 5.0, 0.15
"""No real day came nearer than a quarter of this: another clock, another unit, a stuck value."""
_ROWS_FACTOR = 1.2
"""Real days had at most 1.09 times as few rows as the fewest before them, 1.02 times as many."""
_ASSOCIATION_FLOOR = 0.1
"""Real days left the others' range by at most 0.062."""
_PAIR_VALUES = 8
"""Values of a column in a pair: enough to see an association, few enough for small days."""
_ALL_PAIRS = 30
"""With more columns only the pairs with the label are looked at: pairs grow with the square."""

_IMAGE_FACTOR = 1.7
"""In 52 windows of ``fashion`` the newest day's images were, class by class, at most 1.10 times as
far from the others' as the farthest day before; with half of the labels in other rows at least 2.1
times by one of their numbers, with each class named as the next one at least 12 times."""
_CLASSES = 11
"""Classes told apart in that: fewer fill small days' counts, all others are one."""

Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Unusual:
    """What the newest day differs in, and how far each column is from the other days.

    Attributes:
        findings: One per column, pair of columns, or number of rows.
        distances: Column to the Jensen-Shannon divergence of the newest day from all others.
        calendar: Columns with one value all day, on every day, and not the same on all: the month,
            the weekday. Their distance says which days are compared, and nothing of the rows.
    """

    findings: list[Finding]
    distances: dict[str, float]
    calendar: frozenset[str] = frozenset()


def judge_newest(sample: DaySample, label: str) -> Unusual:
    """Compare the window's last day with its other days.

    Args:
        sample: Every day of the window.
        label: The label's column: its pairs are always looked at.
    """
    days = sample.days
    binned = sample.binned()
    counts = {column: binned.counts(column) for column in binned.columns}
    calendar = frozenset(column for column, of_days in counts.items() if _is_calendar(of_days))
    if len(days) <= FEWEST_DAYS:
        return Unusual([], {}, calendar)
    distances = {c: spread_distances(n) for c, n in counts.items() if c not in calendar}
    file = sample.keys[days[-1]]
    place = f"on {days[-1]} ({file})"
    findings = [
        *_rows(sample, place),
        *_spreads(distances, place),
        *_associations(binned, label, place),
        *_images(binned, label, place),
    ]
    told = [f.model_copy(update={"where": days[-1].isoformat(), "file": file}) for f in findings]
    return Unusual(told, {c: float(d[-1]) for c, d in distances.items()}, calendar)


def spread_distances(counts: Counts) -> Numbers:
    """Each day's Jensen-Shannon divergence, to base 2, from all days before the newest but itself.

    Lin, "Divergence measures based on the Shannon entropy", 1991.

    Args:
        counts: [days, values].

    Returns:
        [days], 0 (the same) to 1 (nothing in common).
    """
    others = counts[:-1].sum(axis=0) - np.vstack([counts[:-1], np.zeros(counts.shape[1])])
    one, other = _shares(counts), _shares(others)
    middle = (one + other) / 2
    divergence: Numbers = (rel_entr(one, middle) + rel_entr(other, middle)).sum(axis=1) / 2
    return divergence / np.log(2)


def associations(counts: Counts) -> Numbers:
    """How much one column tells of another, each day: mutual information over the lesser entropy.

    Args:
        counts: [days, values, values].

    Returns:
        [days], 0 (nothing) to 1 (everything); NaN where one column has one value alone.
    """
    joint = counts / counts.sum(axis=(1, 2), keepdims=True)
    first, second = (entr(joint.sum(axis=axis)).sum(axis=1) for axis in (2, 1))
    shared = first + second - entr(joint).sum(axis=(1, 2))
    lesser = np.minimum(first, second)
    return np.where(lesser > 1e-3, shared / np.maximum(lesser, 1e-3), np.nan)


def _is_calendar(counts: Counts) -> bool:
    used, empty = counts > 0, counts[:, 0]
    return bool((used.sum(axis=1) == 1).all() and used.any(axis=0).sum() > 1 and not empty.any())


def _shares(counts: Counts) -> Numbers:
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _rows(sample: DaySample, place: str) -> Iterator[Finding]:
    *others, newest = (sample.rows[day] for day in sample.days)
    fewest, most = min(others) / _ROWS_FACTOR, max(others) * _ROWS_FACTOR
    if not fewest <= newest <= most:
        value, limit = f"{newest:,}", f"{fewest:,.0f} to {most:,.0f}"
        text = (
            f"the rows {place}: {value}, where the window's other {len(others)} days "
            f"have {min(others):,} to {max(others):,}; usual is {limit}"
        )
        yield _finding("", "rows per day", value, limit, text)


def _spreads(distances: dict[str, Numbers], place: str) -> Iterator[Finding]:
    for column, of_days in distances.items():
        value, most = float(of_days[-1]), float(of_days[:-1].max())
        limit = max(_DISTANCE_FACTOR * most, _DISTANCE_FLOOR)
        if value > limit:
            stops = value > max(_STOP_FACTOR * most, _STOP_FLOOR)
            text = (
                f"column '{column}' {place} is spread unlike the window's other "
                f"{len(of_days) - 1} days: Jensen-Shannon divergence {value:.3f}, of the others at "
                f"most {most:.3f}, limit {limit:.3f} (another unit, clock, code or source?)"
            )
            severity = Severity.ERROR if stops else Severity.WARNING
            yield _finding(
                column, "usual spread", f"{value:.4f}", f"{limit:.4f}", text, severity=severity
            )


def _associations(binned: BinnedDays, label: str, place: str) -> Iterator[Finding]:
    pairs = list(combinations(binned.columns, 2))
    if len(binned.columns) > _ALL_PAIRS:
        pairs = [pair for pair in pairs if label in pair]
    for first, second in pairs:
        of_days = associations(binned.pair_counts(first, second, _PAIR_VALUES))
        value, others = float(of_days[-1]), of_days[:-1][~np.isnan(of_days[:-1])]
        if len(others) < FEWEST_DAYS or np.isnan(value):
            continue
        low, high = float(others.min()), float(others.max())
        margin = max(_ASSOCIATION_FLOOR, high - low)
        if not low - margin <= value <= high + margin:
            limit = f"{max(low - margin, 0):.2f} to {min(high + margin, 1):.2f}"
            text = (
                f"columns '{first}' and '{second}' {place} tell "
                f"{'more' if value > high else 'less'} of each other than on the window's other "
                f"days: {value:.2f} of what there is to tell, of the others {low:.2f} to "
                f"{high:.2f}, usual is {limit} (values in other rows, or one made from the other?)"
            )
            columns = f"{first}, {second}"
            yield _finding(columns, "usual association", f"{value:.3f}", limit, text)


def _images(binned: BinnedDays, label: str, place: str) -> Iterator[Finding]:
    """Whether each class still looks as it did: another class's label is a right value too."""
    if label not in binned.columns:
        return
    for column in sorted(binned.of_images):
        counts = binned.pair_counts(label, column, _CLASSES)
        of_days = spread_distances(counts.reshape(len(counts), -1))
        value, most = float(of_days[-1]), float(of_days[:-1].max())
        limit = _IMAGE_FACTOR * most
        if value > limit:
            text = (
                f"the classes of '{label}' {place} do not look as on the window's other "
                f"{len(of_days) - 1} days: '{column}' by class has the Jensen-Shannon divergence "
                f"{value:.3f}, of the others at most {most:.3f}, limit {limit:.3f} "
                "(labels of other images, or numbered anew?)"
            )
            stops = value > max(_STOP_FACTOR * most, _STOP_FLOOR)
            severity = Severity.ERROR if stops else Severity.WARNING
            yield _finding(
                f"{label}, {column}",
                "usual looks",
                f"{value:.4f}",
                f"{limit:.4f}",
                text,
                severity=severity,
            )


def _finding(
    column: str,
    rule: str,
    value: str,
    limit: str,
    text: str,
    *,
    severity: Severity = Severity.WARNING,
) -> Finding:
    return Finding(
        severity=severity, column=column, rule=rule, value=value, limit=limit, where="", text=text
    )
