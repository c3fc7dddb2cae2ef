"""The order of rows: every row once an epoch, whoever takes it, as the seed says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.definition.model import Feature, FeatureType
from nightshift.training.order import Order, Share, pool_rows_of

orders = st.builds(
    Order,
    file_rows=st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(sum).map(tuple),
    batch_size=st.integers(3, 50),
    seed=st.integers(-5, 5),
    pool_rows=st.integers(1, 90),
)


@given(orders, st.integers(0, 3))
def test_every_epoch_holds_every_row_once(order: Order, epoch: int) -> None:
    assert sorted(order.epoch(epoch).tolist()) == list(range(order.rows))


@given(orders, st.integers(1, 3))
def test_every_place_of_a_batch_falls_to_exactly_one_worker(order: Order, workers: int) -> None:
    shares = [Share(index, workers) for index in range(workers)]
    taken = np.array([order.taken(0, order.rows, share) for share in shares])
    assert taken.sum(axis=0).tolist() == [1] * order.rows
    for share, mine in zip(shares, taken, strict=True):
        batches: Any = np.arange(order.rows) // order.batch_size
        counted = np.bincount(batches[mine], minlength=order.steps)
        assert counted.tolist() == order.sizes(share).tolist()


@given(orders, st.integers(2, 3))
def test_workers_differ_by_at_most_one_row(order: Order, workers: int) -> None:
    sizes = np.array([order.sizes(Share(index, workers)) for index in range(workers)])
    assert (sizes.max(axis=0) - sizes.min(axis=0)).max() <= 1
    assert sizes.sum() == order.rows


def test_the_seed_and_the_epoch_decide() -> None:
    order = Order((30, 50, 20), batch_size=16, seed=1, pool_rows=40)
    assert order.epoch(0).tolist() == order.epoch(0).tolist()
    assert order.epoch(0).tolist() != order.epoch(1).tolist()
    other = Order((30, 50, 20), batch_size=16, seed=2, pool_rows=40)
    assert order.epoch(0).tolist() != other.epoch(0).tolist()


def test_a_window_of_one_pool_is_shuffled_whole() -> None:
    order = Order((5000, 5000), batch_size=256, seed=1, pool_rows=10_000)
    first_half = order.epoch(0)[:5000]
    assert 0.45 < np.mean(first_half < 5000) < 0.55


@pytest.mark.parametrize(
    ("feature", "rows"),
    [
        (Feature(type=FeatureType.STRING), 2**20),
        (Feature(type=FeatureType.IMAGE, shape=(28, 28, 1)), 2**25 // 784),
        (Feature(type=FeatureType.IMAGE, shape=(8000, 8000, 3)), 1),
    ],
)
def test_a_pool_of_large_rows_has_few(feature: Feature, rows: int) -> None:
    assert pool_rows_of({"only": feature}) == rows
