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
