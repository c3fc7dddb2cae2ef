"""Outcomes: rates are scikit-learn's, a weight counts a row so often, nothing divides by zero."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from nightshift.evaluation.outcomes import Outcomes, flip_rate, selected, threshold_at_rate

RATES = ("accuracy", "precision", "recall", "fpr", "selection_rate")
bits = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30)
some_scores = st.lists(st.integers(0, 8).map(lambda n: n / 8), min_size=1, max_size=40)


def _columns(pairs: list[tuple[bool, bool]]) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    table = np.array(pairs)
    return table[:, 0], table[:, 1]


@given(bits)
def test_rates_are_scikit_learns(pairs: list[tuple[bool, bool]]) -> None:
    ones, chosen = _columns(pairs)
    measured = Outcomes.count(ones, chosen)
    learns = sklearn.metrics
    nan = {"zero_division": np.nan}
    expected = {
        "accuracy": learns.accuracy_score(ones, chosen),
        "precision": learns.precision_score(ones, chosen, **nan),
        "recall": learns.recall_score(ones, chosen, **nan),
        "fpr": learns.recall_score(~ones, chosen, **nan),
        "selection_rate": chosen.mean(),
    }
    values = {name: float(getattr(measured, name)) for name in RATES}
    assert values == pytest.approx(expected, nan_ok=True)
    assert measured.rows == len(pairs)


@given(bits, st.data())
def test_a_weight_counts_a_row_so_often(
    pairs: list[tuple[bool, bool]], data: st.DataObject
) -> None:
    ones, chosen = _columns(pairs)
    often = st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs))
    weights = np.array([data.draw(often), data.draw(often), data.draw(often)])
    together = Outcomes.count(ones, chosen, weights)
    alone = [Outcomes.count(ones.repeat(w), chosen.repeat(w)) for w in weights]
    for name in RATES:
        each = [float(getattr(one, name)) for one in alone]
        assert list(getattr(together, name)) == pytest.approx(each, nan_ok=True)


@given(bits, bits)
def test_the_rest_is_everybody_less_the_group(
    group: list[tuple[bool, bool]], rest: list[tuple[bool, bool]]
) -> None:
    left = Outcomes.count(*_columns(group + rest)) - Outcomes.count(*_columns(group))
    assert left == Outcomes.count(*_columns(rest))


@given(some_scores, st.floats(0.01, 1))
def test_a_rate_selects_its_share_and_what_ties_with_the_last(
    values: list[float], rate: float
) -> None:
    scores = np.array(values, np.float32)
    wanted = max(1, round(rate * len(scores)))
    threshold = threshold_at_rate(scores, rate)
    assert (scores > threshold).sum() < wanted <= selected(scores, threshold).sum()


def test_rates_counted_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.1])
    outcomes = Outcomes.count(np.array([1, 0, 1, 1, 0]) == 1, selected(scores, 0.7))
    assert (outcomes.tp, outcomes.fp, outcomes.fn, outcomes.tn) == (2, 1, 1, 1)
    assert (outcomes.recall, outcomes.precision, outcomes.fpr) == (2 / 3, 2 / 3, 1 / 2)
    assert threshold_at_rate(scores, 0.4) == 0.8


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1, float("nan")])
def test_no_threshold_selects_what_is_no_share(rate: float) -> None:
    with pytest.raises(ValueError, match="no threshold selects"):
        threshold_at_rate(np.array([0.5]), rate)


@given(bits)
def test_the_flip_rate_is_the_share_of_other_decisions(pairs: list[tuple[bool, bool]]) -> None:
    ours, theirs = _columns(pairs)
    assert flip_rate(ours, theirs) == pytest.approx(np.mean([a != b for a, b in pairs]))
    twice = np.stack([np.ones(len(pairs)), np.arange(len(pairs)) == 0])
    assert flip_rate(ours, theirs, twice)[1] == float(ours[0] != theirs[0])
