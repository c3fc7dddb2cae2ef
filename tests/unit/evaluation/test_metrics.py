"""Metrics: the definitions, counted by hand, and the same values as scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from nightshift.evaluation.metrics import (
    LOG_LOSS_EPSILON,
    accuracy,
    auc,
    confusion,
    log_loss,
    pr_auc,
    roc,
)

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
def test_scikit_learns_precision_recall_curve_encloses_its_area(
    pairs: list[tuple[int, float]],
) -> None:
    labels, scores = _arrays(pairs)
    alarms, hits, _ = sklearn.metrics.roc_curve(labels, scores, drop_intermediate=False)
    fp, tp = alarms * (labels == 0).sum(), hits * labels.sum()
    area = 0.0
    for n in range(1, len(tp)):
        # Precision where ones and alarms come evenly, at so many places that a sum is an integral.
        share = (np.arange(2000) + 0.5) / 2000
        ones = tp[n - 1] + share * (tp[n] - tp[n - 1])
        rows = ones + fp[n - 1] + share * (fp[n] - fp[n - 1])
        area += (tp[n] - tp[n - 1]) * (ones / rows).mean()
    assert pr_auc(labels, scores) == pytest.approx(area / labels.sum(), abs=1e-3)


def test_average_precision_approaches_the_area_from_above() -> None:
    draw = np.random.default_rng(3)
    excess = {}
    for rows_ in (2_000, 200_000):
        scores = draw.beta(2, 8, rows_)
        labels = (draw.random(rows_) < scores).astype(int)
        area = pr_auc(labels, scores)
        assert area is not None
        excess[rows_] = sklearn.metrics.average_precision_score(labels, scores) - area
    assert 0 < excess[200_000] < 5e-5 < excess[2_000] < 3e-3


@given(rows)
def test_the_curve_encloses_the_area(pairs: list[tuple[int, float]]) -> None:
    labels, scores = _arrays(pairs)
    alarms, hits = roc(labels, scores)
    assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(hits, alarms) == pytest.approx(auc(labels, scores))


def test_values_counted_by_hand() -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    assert auc(labels, scores) == 0.75
    # The first one alone: 1. Then an alarm, then the second one: from 1 of 2 to 2 of 3.
    assert pr_auc(labels, scores) == pytest.approx((1 + 1 - np.log(3 / 2)) / 2)
    assert accuracy(labels, scores) == 0.75
    assert log_loss(labels, scores) == pytest.approx(0.4723, abs=1e-4)


def test_a_score_on_the_threshold_says_one() -> None:
    assert accuracy(np.array([1]), np.array([0.5])) == 1.0


def test_one_sure_error_costs_a_finite_loss() -> None:
    assert log_loss(np.array([1]), np.array([0.0])) == pytest.approx(-np.log(LOG_LOSS_EPSILON))


def test_one_label_alone_ranks_nothing() -> None:
    for label in (0, 1):
        assert auc(np.array([label, label]), np.array([0.2, 0.3])) is None
        assert pr_auc(np.array([label, label]), np.array([0.2, 0.3])) is None


def test_no_rows_have_no_metrics() -> None:
    nothing = np.array([])
    assert (auc(nothing, nothing), log_loss(nothing, nothing)) == (None, None)
    assert accuracy(nothing, nothing) is None


@pytest.mark.parametrize("metric", [auc, pr_auc, log_loss, accuracy, roc])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_measurement(metric, bad: float) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="1 of 3 scores are not finite"):
        metric(np.array([0, 1, 1]), np.array([0.5, bad, 0.2]))


def test_labels_and_scores_must_fit() -> None:
    with pytest.raises(ValueError, match=r"labels have shape \(2,\), scores \(3,\)"):
        auc(np.array([0, 1]), np.array([0.5, 0.1, 0.2]))


CLASSES = 4
# Few distinct weights, so that two classes are equally likely all the time.
class_rows = st.lists(
    st.tuples(
        st.integers(0, CLASSES - 1),
        st.lists(st.integers(0, 3), min_size=CLASSES, max_size=CLASSES).filter(any),
    ),
    min_size=1,
)


def _class_arrays(pairs: list[tuple[int, list[int]]]) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    labels = np.array([label for label, _ in pairs])
    weights = np.array([weights for _, weights in pairs], np.float64)
    return labels, weights / weights.sum(axis=1, keepdims=True)


@given(class_rows)
def test_values_of_classes_are_scikit_learns(pairs: list[tuple[int, list[int]]]) -> None:
    labels, scores = _class_arrays(pairs)
    numbers = list(range(CLASSES))
    answers = scores.argmax(axis=1)
    assert accuracy(labels, scores) == pytest.approx(
        sklearn.metrics.accuracy_score(labels, answers)
    )
    # scikit-learn clips at the resolution of the type, we where Keras does.
    sure = np.clip(scores, LOG_LOSS_EPSILON, 1 - LOG_LOSS_EPSILON)
    own = -np.log(sure[np.arange(len(labels)), labels]).mean()
    assert log_loss(labels, scores) == pytest.approx(own)
    if scores.min() > 0:
        theirs = sklearn.metrics.log_loss(labels, scores, labels=numbers)
        assert log_loss(labels, scores) == pytest.approx(theirs)
    expected = sklearn.metrics.confusion_matrix(labels, answers, labels=numbers)
    assert confusion(labels, scores).tolist() == expected.tolist()


def test_float32_scores_of_classes_lose_nothing_against_scikit_learn() -> None:
    draw = np.random.default_rng(5)
    weights = draw.gamma(1.0, size=(5000, 10)) + 1e-4
    scores = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    labels = draw.integers(0, 10, 5000).astype(np.float32)
    double = scores.astype(np.float64)
    theirs = sklearn.metrics.log_loss(labels, double / double.sum(axis=1, keepdims=True))
    assert log_loss(labels, scores) == pytest.approx(theirs, rel=1e-6)


def test_values_of_classes_counted_by_hand() -> None:
    labels, scores = np.array([0, 1, 2, 1]), np.eye(3)[[0, 1, 1, 0]] * 0.7 + 0.1
    assert accuracy(labels, scores) == 0.5
    assert log_loss(labels, scores) == pytest.approx(-np.log([0.8, 0.8, 0.1, 0.1]).mean())
    assert confusion(labels, scores).tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0]]


def test_of_equally_likely_classes_the_first_is_the_answer() -> None:
    assert accuracy(np.array([0]), np.array([[0.5, 0.5]])) == 1.0
    assert accuracy(np.array([1]), np.array([[0.5, 0.5]])) == 0.0


@pytest.mark.parametrize("metric", [log_loss, accuracy, confusion])
def test_what_no_class_or_no_number_is_measures_nothing(metric) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="1 of 4 scores are not finite"):
        metric(np.array([0, 1]), np.array([[0.5, float("nan")], [0.2, 0.8]]))
    for label in (2, -1, 0.5):
        with pytest.raises(ValueError, match=f"label {label} is no number of one of 2 classes"):
            metric(np.array([0, label]), np.array([[0.5, 0.5], [0.2, 0.8]]))
