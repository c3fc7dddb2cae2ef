"""Resampling: a weight counts a row so often, the same for both models, ties and all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.evaluation.metrics import auc, pr_auc
from nightshift.evaluation.resampling import generator, ranked, rankings, sums

# Few distinct scores, so that ties happen all the time.
rows = st.lists(
    st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 6), st.integers(0, 3)), min_size=1
)


@given(rows)
def test_a_weight_counts_a_row_so_often_in_both_rankings(
    table: list[tuple[bool, int, int, int]],
) -> None:
    ones, first, second, often = (np.array(column) for column in zip(*table, strict=True))
    scores = [of.astype(np.float32) / 8 for of in (first, second)]
    models = rankings(ones, scores)
    # Weights come in the first model's order.
    weights = often[np.argsort(scores[0], kind="stable")].astype(np.uint8)[None]
    for model, each in zip(models, scores, strict=True):
        steps = model.steps(np.vstack([weights, np.ones_like(weights)]))
        repeated = (ones.repeat(often), each.repeat(often))
        for metric, plain in (("auc", auc), ("pr_auc", pr_auc)):
            expected = [plain(*repeated), plain(ones, each)]
            found = [None if np.isnan(v) else v for v in getattr(steps, metric)]
            assert found == [None if v is None else pytest.approx(v, abs=1e-12) for v in expected]


def test_equal_models_have_equal_replicates() -> None:
    draw = np.random.default_rng(4)
    scores = draw.random(500).astype(np.float32)
    ones = draw.random(500) < scores
    models = rankings(ones, [scores, np.sqrt(scores)])
    found = ranked(generator(1, "test"), "auc", models, 500, 50)
    assert found.shape == (50, 2)
    assert (found[:, 0] == found[:, 1]).all()
    assert len(set(found[:, 0])) == 50


def test_sums_are_weighted_and_tell_how_many_rows_were_drawn() -> None:
    values = np.column_stack([np.ones(300), np.arange(300.0)])
    found = sums(generator(1, "test"), values, 400)
    assert found.shape == (400, 3)
    assert (found[:, 0] == found[:, 2]).all()
    assert found[:, 2].mean() == pytest.approx(300, abs=3)
    assert found[:, 1].std() == pytest.approx(np.sqrt((values[:, 1] ** 2).sum()), rel=0.15)
