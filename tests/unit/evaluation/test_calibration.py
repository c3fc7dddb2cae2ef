"""Calibration: the error by its definition, and that a bin holds the scores at its lower edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from nightshift.evaluation.calibration import BINS, Reliability, calibration_error, reliability

# On no edge of a bin: scikit-learn gives an edge to the bin below.
rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 39).map(lambda n: n / 40 + 0.01)), min_size=1
)


def _arrays(pairs: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    labels, scores = zip(*pairs, strict=True)
    return np.array(labels), np.array(scores)


@given(rows)
def test_bins_are_scikit_learns(pairs: list[tuple[int, float]]) -> None:
    labels, scores = _arrays(pairs)
    measured = reliability(labels, scores)
    share, mean = calibration_curve(labels, scores, n_bins=BINS)
    filled = measured.rows > 0
    assert measured.ones[filled] / measured.rows[filled] == pytest.approx(share)
    assert measured.scores[filled] / measured.rows[filled] == pytest.approx(mean)
    error = (measured.rows[filled] / len(labels) * np.abs(share - mean)).sum()
    assert calibration_error(labels, scores) == pytest.approx(error)
    assert measured.bias == pytest.approx(scores.mean() - labels.mean())


@given(rows, rows)
def test_the_rest_is_everybody_less_the_group(
    group: list[tuple[int, float]], rest: list[tuple[int, float]]
) -> None:
    left = reliability(*_arrays(group + rest)) - reliability(*_arrays(group))
    expected = reliability(*_arrays(rest))
    assert left.error == pytest.approx(expected.error)
    assert left.bias == pytest.approx(expected.bias)


@given(rows)
def test_a_weight_counts_a_row_so_often(pairs: list[tuple[int, float]]) -> None:
    labels, scores = _arrays(pairs)
    weights = np.stack([np.arange(len(labels)) % 3, np.full(len(labels), 2)])
    together = Reliability.count(labels == 1, scores, weights)
    for w, error in zip(weights, together.error, strict=True):
        alone = calibration_error(labels.repeat(w), scores.repeat(w))
        assert error == pytest.approx(np.nan if alone is None else alone, nan_ok=True)


def test_an_edge_belongs_to_the_bin_above_and_one_to_the_last() -> None:
    filled = reliability(np.array([0, 1, 0]), np.array([0.0, 0.5, 1.0], np.float32)).rows
    assert np.flatnonzero(filled).tolist() == [0, 5, 9]


def test_errors_counted_by_hand() -> None:
    labels, scores = np.array([0, 1, 1, 1]), np.array([0.24, 0.26, 0.9, 0.98])
    assert calibration_error(labels, scores) == pytest.approx(0.5 * 0.25 + 0.5 * 0.06)
    assert reliability(labels, scores).bias == pytest.approx(0.595 - 0.75)
    assert calibration_error(labels[:0], scores[:0]) is None


def test_of_classes_the_likeliest_ones_chance_is_held_against_being_right() -> None:
    scores = np.array([[0.7, 0.2, 0.1], [0.1, 0.7, 0.2]])
    assert calibration_error(np.array([0, 2]), scores) == pytest.approx(0.2)
