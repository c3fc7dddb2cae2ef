"""The tests that may be looked at after every request."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.release.evidence import band, log_above, log_mean

ERROR = 0.01


SHARE = 0.2


def peeks(new_rate: float, old_rate: float, seed: int, requests: int = 4000) -> bool:
    """Whether a canary with a fifth of the requests is ever condemned, looked at every twenty."""
    chance = random.Random(seed)
    new_hits = old_hits = 0
    for number in range(requests):
        if chance.random() < SHARE:
            new_hits += chance.random() < new_rate
        else:
            old_hits += chance.random() < old_rate
        looks = number % 20 == 0
        if looks and log_above(new_hits, new_hits + old_hits, SHARE) > -math.log(ERROR):
            return True
    return False


def test_equal_rates_are_seldom_condemned_however_often_one_looks() -> None:
    assert sum(peeks(0.05, 0.05, seed) for seed in range(200)) <= 200 * ERROR


def test_a_better_version_is_never_condemned() -> None:
    assert not any(peeks(0.01, 0.3, seed) for seed in range(50))


def test_one_point_of_failures_is_found() -> None:
    assert sum(peeks(0.01, 0.0, seed) for seed in range(50)) >= 45


def test_a_limit_is_held_at_and_broken_well_above() -> None:
    assert log_above(50, 1000, 0.05) < 0
    assert log_above(0, 1000, 0.05) < 0
    assert log_above(100, 1000, 0.05) > -math.log(ERROR)
    assert log_above(10, 10, 1.0) == 0


def test_nothing_seen_is_no_evidence() -> None:
    assert log_above(0, 0, 0.1) == log_mean([]) == 0
    assert band(0, ERROR) == 1


def test_the_band_covers_the_truth_at_every_moment() -> None:
    missed = 0
    for seed in range(100):
        chance = random.Random(seed)
        below = 0
        for count in range(1, 1000):
            below += chance.random() < 0.3
            if abs(below / count - 0.3) > band(count, ERROR):
                missed += 1
                break
    assert missed <= 2


@given(
    st.lists(st.floats(-50, 50, allow_nan=False), min_size=1, max_size=20),
)
def test_a_mean_lies_between_its_parts(logs: list[float]) -> None:
    assert min(logs) - 1e-9 <= log_mean(logs) <= max(logs) + 1e-9


@given(hits=st.integers(0, 50), misses=st.integers(0, 500), limit=st.floats(0.01, 0.99))
def test_no_more_evidence_than_the_luckiest_coin_could_give(
    hits: int, misses: int, limit: float
) -> None:
    evidence = log_above(hits, hits + misses, limit)
    assert evidence <= hits * -math.log(limit) + 1e-9
    if hits <= limit * (hits + misses):
        assert evidence <= 0


@pytest.mark.parametrize("error", [0.1, 0.001])
def test_a_band_narrows(error: float) -> None:
    assert band(100, error) > band(1000, error) > band(100_000, error)
