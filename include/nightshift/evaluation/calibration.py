"""Calibration: whether of the rows that score 0.3, three in ten have label 1.

Everything is a function of three sums per bin, so that replicates cost weighted sums alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nightshift.evaluation.metrics import Array, checked, checked_classes
from nightshift.evaluation.outcomes import Counts, ratio

BINS = 10
"""Bins of equal width, each with its lower edge, the last with 1 too (Naeini, Cooper and Hauskrecht
2015, "Obtaining well calibrated probabilities using Bayesian binning"). Fixed edges, unlike bins of
equal mass, are the same for both models, every group and every replicate, so that sums add up."""


@dataclass(frozen=True)
class Reliability:
    """The sums of a reliability plot; each of shape [..., bins], one shape for all.

    Attributes:
        rows: How many rows score within the bin.
        scores: The sum of their scores.
        ones: How many of them have label 1.
    """

    rows: Counts
    scores: Counts
    ones: Counts

    @classmethod
    def count(
        cls, ones: NDArray[np.bool_], scores: NDArray[np.float64], weights: ArrayLike = 1.0
    ) -> Reliability:
        """Count rows.

        Args:
            ones: Whether the label is 1, shape [rows].
            scores: Probabilities of 1, shape [rows].
            weights: How often each row counts, shape [rows] or [replicates, rows].
        """
        shape = np.broadcast_shapes(np.shape(weights), ones.shape)
        weights = np.broadcast_to(np.asarray(weights, np.float64), shape)
        within = bins_of(scores)[:, None] == np.arange(BINS)
        return cls(weights @ within, (weights * scores) @ within, (weights * ones) @ within)

    def __sub__(self, other: Reliability) -> Reliability:
        """The sums over the rows of this that are not among those of ``other``."""
        return Reliability(
            self.rows - other.rows, self.scores - other.scores, self.ones - other.ones
        )

    @property
    def error(self) -> Counts:
        """Expected calibration error, shape [...]: the mean over rows of how far their bin's mean
        score is from its share of ones (Naeini et al. 2015). NaN where there are no rows.

        It is never below 0 and so too large where rows are few: of a perfectly calibrated model
        with r rows a bin, about ``sqrt(2 p (1 - p) / (pi r))`` (the mean size of a normal error).
        """
        return ratio(np.abs(self.scores - self.ones).sum(axis=-1), self.rows.sum(axis=-1))

    @property
    def bias(self) -> Counts:
        """Mean score less the share of ones, shape [...]: calibration in the large (Van Calster et
        al. 2016, "A calibration hierarchy for risk models"). NaN where there are no rows."""
        return ratio((self.scores - self.ones).sum(axis=-1), self.rows.sum(axis=-1))


def bins_of(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """The number of each score's bin, from 0; shape [rows]."""
    return np.clip((scores * BINS).astype(np.intp), 0, BINS - 1)


def reliability(labels: Array, scores: Array) -> Reliability:
    """One model's sums, shape [bins].

    Of classes, the likeliest one's probability against whether it is the label (Guo et al. 2017,
    "On calibration of modern neural networks").

    Raises:
        ValueError: As all metrics do.
    """
    if np.ndim(scores) > 1:
        numbers, scores = checked_classes(labels, scores)
        return Reliability.count(scores.argmax(axis=1) == numbers, scores.max(axis=1))
    return Reliability.count(*checked(labels, scores))


def calibration_error(labels: Array, scores: Array) -> float | None:
    """Expected calibration error; None where there are no rows."""
    return float(reliability(labels, scores).error) if len(labels) else None
