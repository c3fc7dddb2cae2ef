"""The paired bootstrap: how a metric, or a difference of two models, varies with the rows drawn.

Each row counts Poisson(1) times in a replicate, and the same number of times for both models, so
that what they have in common cancels (Chamandy, Muralidharan, Najmi and Naidu 2012, "Estimating
uncertainty for massive data streams"). Sums of such counts over rows are Poisson numbers too: what
is a function of counts needs one draw per cell of a table, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from nightshift.evaluation.metrics import Steps
from nightshift.evaluation.outcomes import ratio

_TABLE_BITS = 16
_CELLS_AT_ONCE = 1_000_000
"""Replicates times rows that are worked on together: 8 MB as float64. More are slower, for they do
not fit into a processor's cache."""


def generator(seed: int, *names: object) -> np.random.Generator:
    """Random numbers that depend on what they are for and not on what was drawn before."""
    text = "\0".join([str(seed), *map(str, names)])
    return np.random.default_rng(int.from_bytes(sha256(text.encode()).digest()[:16], "big"))


def draw_counts(
    rng: np.random.Generator, counts: NDArray[np.int64], replicates: int
) -> NDArray[np.float64]:
    """Replicates of a table of counts, shape [replicates, *table]."""
    return rng.poisson(counts, (replicates, *counts.shape)).astype(np.float64)


def draw_weights(
    rng: np.random.Generator, rows: int, replicates: int
) -> Iterator[NDArray[np.uint8]]:
    """How often each row counts: blocks of shape [some replicates, rows], ``replicates`` in all."""
    table = _poisson_table()
    step = max(1, _CELLS_AT_ONCE // max(rows, 1))
    for first in range(0, replicates, step):
        shape = (min(step, replicates - first), rows)
        yield table[rng.integers(0, len(table), shape, dtype=np.uint16)]


def _poisson_table() -> NDArray[np.uint8]:
    """Poisson(1) by a 16-bit number: ten times as fast as drawing, its mean right within 1e-4."""
    steps = 1 << _TABLE_BITS
    chances = np.exp(-1.0) / np.cumprod([1.0, *range(1, 12)])
    ends = np.rint(np.cumsum(chances) * steps).astype(int)
    table: NDArray[np.uint8] = np.zeros(steps, dtype=np.uint8)
    for count, end in enumerate(ends):
        table[end:] = count + 1
    return np.minimum(table, len(ends) - 1).astype(np.uint8)


def sums(
    rng: np.random.Generator, values: NDArray[np.float64], replicates: int
) -> NDArray[np.float64]:
    """Replicates of sums over rows, and of the number of rows.

    Args:
        rng: Where draws come from.
        values: Shape [rows, columns].
        replicates: How many.

    Returns:
        Shape [replicates, columns + 1]; the last column is how many rows were drawn.
    """
    counted = np.column_stack([values, np.ones(len(values))])
    blocks = draw_weights(rng, len(values), replicates)
    return np.concatenate([weights.astype(np.float64) @ counted for weights in blocks])


def means(
    rng: np.random.Generator, values: NDArray[np.float64], replicates: int
) -> NDArray[np.float64]:
    """Replicates of means over rows; arguments as :func:`sums`, shape [replicates, columns]."""
    drawn = sums(rng, values, replicates)
    return ratio(drawn[:, :-1], drawn[:, -1:])


class Ranking:
    """Rows in the order of one model's scores, ready to be weighted.

    Args:
        ones: Whether the label is 1, shape [rows].
        scores: Shape [rows].
        places: Each row's place among the weights, shape [rows].
    """

    def __init__(
        self, ones: NDArray[np.bool_], scores: NDArray[np.float32], places: NDArray[np.intp]
    ) -> None:
        order = np.argsort(scores, kind="stable")
        places, ones, scores = places[order], ones[order], scores[order]
        self._places = None if np.array_equal(places, np.arange(len(places))) else places
        self._zero = (~ones).astype(np.uint8)
        self._ones = np.flatnonzero(ones)
        hits = scores[self._ones]
        self._first = np.flatnonzero(np.r_[True, hits[1:] != hits[:-1]]) if len(hits) else hits
        at = hits[self._first] if len(hits) else hits
        # Zeros before a score's first row, and up to its last; cumulative counts begin with 0.
        self._below = np.searchsorted(scores, at, side="left")
        self._level = np.searchsorted(scores, at, side="right")
        self._tied = bool((self._level - self._below > 1).any())

    def steps(self, weights: NDArray[np.uint8]) -> Steps:
        """The weighted counts; weights are of shape [replicates, rows]."""
        if self._places is not None:
            weights = weights.take(self._places, axis=1)
        passed: NDArray[np.int32] = np.zeros((len(weights), weights.shape[1] + 1), dtype=np.int32)
        np.multiply(weights, self._zero, out=passed[:, 1:])
        np.add.accumulate(passed, axis=1, out=passed)
        hits = weights.take(self._ones, axis=1).astype(np.float64)
        if self._tied:
            hits = np.add.reduceat(hits, self._first, axis=1)
        below = passed.take(self._below, axis=1).astype(np.float64)
        level = passed.take(self._level, axis=1).astype(np.float64) if self._tied else below
        return Steps(hits, below, level, passed[:, -1].astype(np.float64))


def rankings(ones: NDArray[np.bool_], scores: list[NDArray[np.float32]]) -> list[Ranking]:
    """One ranking per model, over the same weights: they come in the first model's order."""
    places: NDArray[np.intp] = np.empty(len(ones), dtype=np.intp)
    places[np.argsort(scores[0], kind="stable")] = np.arange(len(ones))
    return [Ranking(ones, each, places) for each in scores]


def ranked(
    rng: np.random.Generator, metric: str, models: list[Ranking], rows: int, replicates: int
) -> NDArray[np.float64]:
    """Replicates of a ranking metric of several models.

    Args:
        rng: Where draws come from.
        metric: A property of :class:`Steps`: ``auc`` or ``pr_auc``.
        models: What :func:`rankings` made.
        rows: How many there are.
        replicates: How many.

    Returns:
        Shape [replicates, models].
    """
    blocks = [
        np.stack([getattr(model.steps(weights), metric) for model in models], axis=1)
        for weights in draw_weights(rng, rows, replicates)
    ]
    return np.concatenate(blocks)


def spread(replicates: NDArray[np.float64]) -> float:
    """Standard deviation of the replicates that are defined; NaN where half of them are not."""
    defined = replicates[np.isfinite(replicates)]
    if len(defined) * 2 < len(replicates) or len(defined) < 2:
        return float("nan")
    return float(defined.std(ddof=1))
