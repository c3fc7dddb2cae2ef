"""The rolling window that ends with the night."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.data.pinned import Split
from nightshift.data.window import Days
from nightshift.definition.model import Window
from nightshift.definition.partitions import Partitions
from nightshift.errors import BadDefinitionError

nights = st.dates(min_value=date(1990, 1, 1), max_value=date(2100, 1, 1))
sizes = st.integers(2, 400).flatmap(lambda d: st.tuples(st.just(d), st.integers(1, d - 1)))


@given(nights, sizes)
def test_it_has_so_many_days_and_ends_with_the_night(night: date, size: tuple[int, int]) -> None:
    days = list(Days.of(Window(days=size[0], holdout_days=size[1]), night))
    assert len(days) == size[0]
    assert days[-1] == night
    assert all(later - earlier == timedelta(1) for earlier, later in pairwise(days))


@given(nights, sizes)
def test_its_last_days_are_held_out_and_no_others(night: date, size: tuple[int, int]) -> None:
    window = Days.of(Window(days=size[0], holdout_days=size[1]), night)
    held_out = [day for day in window if window.split(day) is Split.HOLDOUT]
    assert held_out == list(window)[-size[1] :]


@given(nights, sizes, st.integers(-500, 500))
def test_it_grows_from_the_lakes_first_day_until_it_has_all_days(
    night: date, size: tuple[int, int], age: int
) -> None:
    since = night - timedelta(age)
    window = Window(days=size[0], holdout_days=size[1], since=since)
    if age < size[1]:
        with pytest.raises(
            BadDefinitionError, match=rf"first night is {since + timedelta(size[1])}"
        ):
            Days.of(window, night)
        return
    days = list(Days.of(window, night))
    assert len(days) == min(size[0], age + 1)
    assert days[0] >= since
    assert days[-1] == night


years = st.integers(1990, 2100).map(lambda year: date(year, 12, 31))


@given(years, st.integers(2, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n - 1))))
def test_so_many_times_365_days_are_so_many_years_leap_years_or_not(
    night: date, size: tuple[int, int]
) -> None:
    window = Window(days=365 * size[0], holdout_days=365 * size[1])
    days = Days.of(window, night, Partitions.YEARLY)
    assert list(days) == [date(night.year - n, 12, 31) for n in reversed(range(size[0]))]
    held_out = [day for day in days if days.split(day) is Split.HOLDOUT]
    assert held_out == list(days)[-size[1] :]


@given(years, sizes, st.sampled_from([Partitions.MONTHLY, Partitions.YEARLY]))
def test_a_window_has_a_partition_to_train_on_or_says_what_to_change(
    night: date, size: tuple[int, int], partitions: Partitions
) -> None:
    window = Window(days=size[0], holdout_days=size[1])
    try:
        days = Days.of(window, night, partitions)
    except BadDefinitionError as error:
        assert "Widen window.days" in error.message
        wide = Window(days=size[0] + 366, holdout_days=size[1])
        days = Days.of(wide, night, partitions)
    splits = [days.split(day) for day in days]
    assert splits[0] is Split.TRAIN
    assert splits[-1] is Split.HOLDOUT
    assert splits == sorted(splits, key=list(Split).index)


@given(nights.filter(lambda day: (day.month, day.day) != (12, 31)))
def test_a_night_that_ends_no_period_is_told_the_one_that_does(night: date) -> None:
    with pytest.raises(BadDefinitionError, match=rf"ends no year, .*is {night.year}-12-31"):
        Days.of(Window(days=730, holdout_days=365), night, Partitions.YEARLY)


def test_the_first_night_of_a_yearly_lake_is_its_second_year() -> None:
    window = Window(days=1461, holdout_days=365, since=date(2015, 12, 31))
    with pytest.raises(BadDefinitionError, match=r"no year to train on.*first night is 2016-12-31"):
        Days.of(window, date(2015, 12, 31), Partitions.YEARLY)
    assert len(list(Days.of(window, date(2016, 12, 31), Partitions.YEARLY))) == 2
