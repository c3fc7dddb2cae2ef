"""When two trainings count as the same."""

from __future__ import annotations

import math

import pytest

from nightshift.lineage.reproduction import Compared, differing


@pytest.mark.parametrize(
    ("again", "same"),
    [(0.69, True), (0.69009, True), (0.6902, False), (math.nan, False), (None, False)],
)
def test_numbers_are_the_same_within_the_tolerance(again: float | None, same: bool) -> None:
    compared = (Compared("evaluate", "auc", 0.69, again),)
    assert (differing(compared, 1e-4) == []) is same
