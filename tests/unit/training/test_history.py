"""When training ends early: a function of the history, so that a resumed job decides the same."""

from __future__ import annotations

import pytest

from nightshift.definition.training import EarlyStopping
from nightshift.training.history import Epoch, stops_early


def history(*losses: float, auc: float | None = 0.5) -> list[Epoch]:
    return [
        Epoch(number=n, loss=loss, auc=auc, accuracy=0.5, seconds=1.0)
        for n, loss in enumerate(losses, start=1)
    ]


@pytest.mark.parametrize(
    ("losses", "ends"),
    [
        ((0.6, 0.5, 0.4), False),
        ((0.6, 0.5, 0.51), False),
        ((0.6, 0.5, 0.51, 0.52), True),
        ((0.6, 0.5, 0.51, 0.49), False),
        ((0.6, 0.5, 0.51, 0.5), True),  # as good is not better
    ],
)
def test_it_waits_for_as_many_epochs_as_it_is_told(losses: tuple[float, ...], ends: bool) -> None:
    assert stops_early(history(*losses), EarlyStopping(patience=2)) is ends


def test_a_small_gain_does_not_count_as_better() -> None:
    rule = EarlyStopping(patience=2, min_delta=0.1)
    assert stops_early(history(0.6, 0.55, 0.51), rule)
    assert not stops_early(history(0.6, 0.55, 0.49), rule)


def test_more_is_better_for_a_metric_that_is_no_loss() -> None:
    rule = EarlyStopping(monitor="auc", patience=1)
    worse = [*history(0.6, auc=0.7), *history(0.5, auc=0.6)]
    assert stops_early(worse, rule)
    assert not stops_early(worse[::-1], rule)


def test_without_a_rule_or_without_the_metric_nothing_ends_early() -> None:
    flat = history(0.5, 0.5, 0.5, 0.5, 0.5, auc=None)
    assert not stops_early(flat, None)
    assert not stops_early(flat, EarlyStopping(monitor="auc", patience=1))
