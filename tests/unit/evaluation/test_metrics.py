"""Metrics: the definitions, counted by hand, and the same values as scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from nightshift.evaluation.metrics import LOG_LOSS_EPSILON, accuracy, auc, log_loss, roc

# Few distinct scores, so that ties happen all the time.
rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8).map(lambda n: n / 8)), min_size=2
).filter(lambda pairs: len({label for label, _ in pairs}) == 2)


def _arrays(pairs: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    labels, scores = zip(*pairs, strict=True)
    return np.array(labels), np.array(scores, np.float32)


@given(rows)
def test_auc_is_the_share_of_pairs_in_order(pairs: list[tuple[int, float]]) -> None:
    ones = [score for label, score in pairs if label]
    zeros = [score for label, score in pairs if not label]
    wins = sum((a > b) + (a == b) / 2 for a in ones for b in zeros)
    assert auc(*_arrays(pairs)) == pytest.approx(wins / (len(ones) * len(zeros)), abs=1e-12)


@given(rows)
def test_values_are_scikit_learns(pairs: list[tuple[int, float]]) -> None:
    labels, scores = _arrays(pairs)
    assert auc(labels, scores) == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores))
    clipped = np.clip(scores.astype(float), LOG_LOSS_EPSILON, 1 - LOG_LOSS_EPSILON)
    assert log_loss(labels, scores) == pytest.approx(sklearn.metrics.log_loss(labels, clipped))
    hard = (scores >= 0.5).astype(int)
    assert accuracy(labels, scores) == pytest.approx(sklearn.metrics.accuracy_score(labels, hard))


@given(rows)
def test_the_curve_encloses_the_area(pairs: list[tuple[int, float]]) -> None:
    labels, scores = _arrays(pairs)
    alarms, hits = roc(labels, scores)
    assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(hits, alarms) == pytest.approx(auc(labels, scores))


def test_values_counted_by_hand() -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    assert auc(labels, scores) == 0.75
    assert accuracy(labels, scores) == 0.75
    assert log_loss(labels, scores) == pytest.approx(0.4723, abs=1e-4)


def test_a_score_on_the_threshold_says_one() -> None:
    assert accuracy(np.array([1]), np.array([0.5])) == 1.0


def test_one_sure_error_costs_a_finite_loss() -> None:
    assert log_loss(np.array([1]), np.array([0.0])) == pytest.approx(-np.log(LOG_LOSS_EPSILON))


def test_one_label_alone_ranks_nothing() -> None:
    assert auc(np.array([1, 1]), np.array([0.2, 0.3])) is None


def test_no_rows_have_no_metrics() -> None:
    nothing = np.array([])
    assert (auc(nothing, nothing), log_loss(nothing, nothing)) == (None, None)
    assert accuracy(nothing, nothing) is None


@pytest.mark.parametrize("metric", [auc, log_loss, accuracy, roc])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_measurement(metric, bad: float) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="1 of 3 scores are not finite"):
        metric(np.array([0, 1, 1]), np.array([0.5, bad, 0.2]))


def test_labels_and_scores_must_fit() -> None:
    with pytest.raises(ValueError, match=r"labels have shape \(2,\), scores \(3,\)"):
        auc(np.array([0, 1]), np.array([0.5, 0.1, 0.2]))
