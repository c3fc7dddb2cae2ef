"""Intervals: exact ones against their definitions, bootstrapped ones against known formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nightshift.definition.gates import Metric
from nightshift.evaluation.comparison import Comparison
from nightshift.evaluation.estimates import Bootstrapped, PairedProportion, binomial_bounds
from nightshift.evaluation.metrics import auc, log_loss, pr_auc
from nightshift.evaluation.resampling import draw_weights, generator
from tests.unit.evaluation.tables import compare, table

ROWS = 3000


@given(st.integers(0, 40), st.integers(1, 40), st.floats(0.6, 0.999))
def test_binomial_bounds_are_where_the_tail_has_just_that_chance(
    hits: int, more: int, confidence: float
) -> None:
    rows = hits + more
    low, high = binomial_bounds(hits, rows, confidence)
    assert 0 <= low <= hits / rows <= high <= 1
    if hits:
        assert stats.binom.sf(hits - 1, rows, low) == pytest.approx(1 - confidence)
    assert stats.binom.cdf(hits, rows, high) == pytest.approx(1 - confidence)


@given(st.integers(0, 30), st.integers(0, 30))
def test_no_difference_lies_outside_the_interval_exactly_where_mcnemar_rejects(
    better: int, worse: int
) -> None:
    low, high = PairedProportion(better, worse, 100).interval(0.95)
    if better + worse == 0:
        assert (low, high) == (0.0, 0.0)
        return
    n = better + worse
    # One-sided exact McNemar: the sign test of the rows on which the two models differ.
    rejects_worse = stats.binom.cdf(better, n, 0.5) < 0.05
    rejects_better = stats.binom.sf(better - 1, n, 0.5) < 0.05
    assert (high < 0, low > 0) == (rejects_worse, rejects_better)


def test_weights_are_poisson_numbers_of_mean_one() -> None:
    weights = np.concatenate(list(draw_weights(generator(1, "test"), 1000, 400)))
    assert weights.shape == (400, 1000)
    assert weights.mean() == pytest.approx(1, abs=0.01)
    assert weights.var() == pytest.approx(1, abs=0.02)
    shares = np.bincount(weights.ravel(), minlength=5)[:5] / weights.size
    assert shares == pytest.approx(stats.poisson.pmf(range(5), 1), abs=0.003)


def _night(seed: int = 2) -> Comparison:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, ROWS)
    shared = 0.3 + 0.3 * labels + draw.normal(0, 0.2, ROWS)
    two = [np.clip(shared + draw.normal(0, 0.05, ROWS), 0.02, 0.98) for _ in range(2)]
    who = draw.choice(["a", "b"], ROWS).tolist()
    return compare(table(labels, two[0], two[1], who=who))


def test_the_spread_of_a_mean_is_what_its_rows_say() -> None:
    night = _night()
    found = night.measure(Metric.LOG_LOSS, night.everything)
    assert found is not None
    assert isinstance(found.difference, Bootstrapped)
    losses = night._losses
    expected = (losses[:, 0] - losses[:, 1]).std(ddof=1) / np.sqrt(ROWS)
    assert found.difference.se == pytest.approx(expected, rel=0.1)
    assert found.candidate.value == pytest.approx(
        log_loss(night.predictions.labels, night.predictions.candidate)
    )


def test_the_spread_of_an_auc_is_de_longs() -> None:
    night = _night()
    found = night.measure(Metric.AUC, night.everything)
    assert found is not None
    assert isinstance(found.candidate, Bootstrapped)
    labels, scores = night.predictions.labels, night.predictions.candidate.astype(float)
    ones, zeros = scores[labels == 1], scores[labels == 0]
    wins = (ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros)
    variance = wins.mean(1).var(ddof=1) / len(ones) + wins.mean(0).var(ddof=1) / len(zeros)
    assert found.candidate.value == pytest.approx(wins.mean(), abs=1e-12)
    assert found.candidate.se == pytest.approx(np.sqrt(variance), rel=0.1)
    assert found.candidate.value == pytest.approx(auc(labels, scores))


def test_pairing_makes_a_difference_surer_than_two_values() -> None:
    night = _night()
    for metric in (Metric.AUC, Metric.PR_AUC, Metric.LOG_LOSS, Metric.RECALL):
        found = night.measure(metric, night.everything)
        assert found is not None
        assert isinstance(found.candidate, Bootstrapped)
        assert isinstance(found.difference, Bootstrapped)
        assert found.difference.se < found.candidate.se


def test_values_are_those_of_the_plain_metrics() -> None:
    night = _night()
    labels, scores = night.predictions.labels, night.predictions.candidate
    found = night.measure(Metric.PR_AUC, night.everything)
    assert found is not None
    assert found.candidate.value == pytest.approx(pr_auc(labels, scores))
    (group,) = (rows for rows in night.rows("who") if rows.value == "b")
    inside = np.isin(np.arange(ROWS), group.at)
    chosen, ones = scores >= 0.5, labels == 1
    gap = night.measure(Metric.TPR_GAP, group)
    assert gap is not None
    assert gap.candidate.value == pytest.approx(
        chosen[inside & ones].mean() - chosen[~inside & ones].mean()
    )
    excess = scores.astype(float) - ones
    gap = night.measure(Metric.CALIBRATION_GAP, group)
    assert gap is not None
    assert gap.candidate.value == pytest.approx(excess[inside].mean() - excess[~inside].mean())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_ties_change_nothing(seed: int) -> None:
    draw = np.random.default_rng(seed)
    labels, scores = draw.integers(0, 2, 200), draw.integers(1, 9, 200) / 10
    night = compare(table(labels, scores), replicates=200)
    found = night.measure(Metric.AUC, night.everything)
    expected = auc(labels, scores.astype(np.float32))
    assert (found is None) == (expected is None)
    if found is not None:
        assert found.candidate.value == pytest.approx(expected)
