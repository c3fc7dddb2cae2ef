"""The period that one partition covers, and the day that stands for it."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from nightshift.definition.partitions import Partitions

days = st.dates(min_value=date(1990, 1, 1), max_value=date(2100, 1, 1))
periods = st.sampled_from(Partitions)


def _same_period(partitions: Partitions, one: date, other: date) -> bool:
    parts = {"daily": 3, "monthly": 2, "yearly": 1}[partitions]
    return one.timetuple()[:parts] == other.timetuple()[:parts]


@given(periods, days)
def test_a_period_ends_with_its_last_day_and_the_next_day_is_another_periods(
    partitions: Partitions, day: date
) -> None:
    last = partitions.last_day(day)
    assert day <= last
    assert _same_period(partitions, day, last)
    assert not _same_period(partitions, day, last + timedelta(1))
    assert partitions.last_day(last) == last


@given(periods, days, st.integers(-100, 2000))
def test_every_period_that_ends_in_a_span_is_told_once_in_order(
    partitions: Partitions, first: date, length: int
) -> None:
    last = first + timedelta(length)
    span = (first + timedelta(n) for n in range(length + 1))
    ends = [day for day in span if partitions.last_day(day) == day]
    assert list(partitions.between(first, last)) == ends
