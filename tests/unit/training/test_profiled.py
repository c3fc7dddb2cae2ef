"""The same few steps of the first epoch are profiled, by every process of a job."""

from __future__ import annotations

import pytest

from nightshift.training.order import Position
from nightshift.training.profiled import profiled_steps, steps_at_once


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(298, range(20, 25)), (22, range(11, 16)), (2, range(1, 2)), (1, range(1))],
)
def test_they_come_after_the_first_and_before_the_end(steps: int, expected: range) -> None:
    assert profiled_steps(steps) == expected


def chunks(steps: int, epoch: int, *, profile: bool) -> list[int]:
    found: list[int] = []
    while sum(found) < steps:
        found.append(steps_at_once(Position(epoch, sum(found)), steps, profile=profile))
    return found


def test_profiled_steps_are_computed_one_by_one_and_all_others_together() -> None:
    assert chunks(100, 0, profile=True) == [20, 1, 1, 1, 1, 1, 75]
    assert chunks(100, 1, profile=True) == [100]
    assert chunks(100, 0, profile=False) == [100]
