"""Fairness: a group against the rest, as Fairlearn's formulas have it for two groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.evaluation import fairness
from nightshift.evaluation.calibration import Reliability
from nightshift.evaluation.outcomes import Outcomes

people = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=60)


def _outcomes(rows: np.ndarray) -> Outcomes:  # type: ignore[type-arg]
    return Outcomes.count(rows[:, 1], rows[:, 2])


def _mean(values: np.ndarray) -> float:  # type: ignore[type-arg]
    return float(values.mean()) if len(values) else float("nan")


@given(people)
def test_gaps_are_differences_of_means(rows: list[tuple[bool, bool, bool]]) -> None:
    table = np.array(rows)
    sides = table[table[:, 0]], table[~table[:, 0]]
    group, everybody = _outcomes(sides[0]), _outcomes(table)
    rest = everybody - group
    select = [_mean(side[:, 2]) for side in sides]
    found = [_mean(side[side[:, 1], 2]) for side in sides]
    alarmed = [_mean(side[~side[:, 1], 2]) for side in sides]
    nan = {"nan_ok": True}
    assert fairness.selection_rate_gap(group, rest) == pytest.approx(select[0] - select[1], **nan)
    assert fairness.tpr_gap(group, rest) == pytest.approx(found[0] - found[1], **nan)
    assert fairness.fpr_gap(group, rest) == pytest.approx(alarmed[0] - alarmed[1], **nan)
    expected = select[0] / select[1] if select[1] else float("nan")
    assert fairness.selection_rate_ratio(group, rest) == pytest.approx(expected, **nan)


def test_gaps_counted_by_hand() -> None:
    # Of 4 women with label 1 one is selected, of 4 men three; of 2 each with label 0: none, one.
    women = Outcomes(*map(np.float64, (1, 0, 3, 2)))
    men = Outcomes(*map(np.float64, (3, 1, 1, 1)))
    assert fairness.selection_rate_ratio(women, men) == pytest.approx((1 / 6) / (4 / 6))
    assert fairness.selection_rate_gap(women, men) == pytest.approx(-1 / 2)
    assert fairness.tpr_gap(women, men) == pytest.approx(-1 / 2)
    assert fairness.fpr_gap(women, men) == pytest.approx(-1 / 2)
    assert fairness.tpr_gap(men, women) == -fairness.tpr_gap(women, men)


def test_a_group_that_is_overrated_has_a_positive_calibration_gap() -> None:
    ones = np.array([True, False, True, False])
    overrated = Reliability.count(ones, np.full(4, 0.7))
    right = Reliability.count(ones, np.full(4, 0.5))
    assert fairness.calibration_gap(overrated, right) == pytest.approx(0.2)


def test_gaps_of_many_replicates_come_at_once() -> None:
    draw = np.random.default_rng(7)
    table = draw.random((200, 3)) < 0.5
    weights = draw.poisson(1.0, (5, 200)).astype(float)
    everybody = Outcomes.count(table[:, 1], table[:, 2], weights)
    group = Outcomes.count(table[:, 1], table[:, 2], weights * table[:, 0])
    gaps = fairness.tpr_gap(group, everybody - group)
    assert gaps.shape == (5,)
    chosen = [np.average(table[m, 2], weights=weights[0, m]) for m in _with_label_one(table)]
    assert gaps[0] == pytest.approx(chosen[0] - chosen[1])


def _with_label_one(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    return table[:, 0] & table[:, 1], ~table[:, 0] & table[:, 1]
