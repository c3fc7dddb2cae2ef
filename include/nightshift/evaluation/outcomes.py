"""Decisions against labels: what a threshold selects, and the rates that follow from four counts.

Everything is a function of counts, so that a bootstrap's replicates cost four weighted sums each:
counts may be arrays of any one shape, such as [replicates] or [replicates, groups].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Counts: TypeAlias = NDArray[np.float64]
"""Weighted counts, or what is computed of them, of any shape."""


@dataclass(frozen=True)
class Outcomes:
    """How many rows were selected, or not, of those whose label is 1, or 0.

    All rates are NaN where they would divide by zero: no rows, none selected, one label alone.
    Names and formulas: Fawcett 2006, "An introduction to ROC analysis".

    Attributes:
        tp: Selected, label 1.
        fp: Selected, label 0.
        fn: Not selected, label 1.
        tn: Not selected, label 0.
    """

    tp: Counts
    fp: Counts
    fn: Counts
    tn: Counts

    @classmethod
    def count(
        cls, ones: NDArray[np.bool_], selected: NDArray[np.bool_], weights: ArrayLike = 1.0
    ) -> Outcomes:
        """Count rows.

        Args:
            ones: Whether the label is 1, shape [rows].
            selected: Whether the row is selected, shape [rows].
            weights: How often each row counts, shape [rows] or [replicates, rows].
        """
        shape = np.broadcast_shapes(np.shape(weights), ones.shape)
        weights = np.broadcast_to(np.asarray(weights, np.float64), shape)
        cells = (ones & selected, ~ones & selected, ones & ~selected, ~ones & ~selected)
        return cls(*(weights @ cell for cell in cells))

    def __sub__(self, other: Outcomes) -> Outcomes:
        """The outcomes of the rows of this that are not among those of ``other``."""
        return Outcomes(
            self.tp - other.tp, self.fp - other.fp, self.fn - other.fn, self.tn - other.tn
        )

    @property
    def rows(self) -> Counts:
        """All rows."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def accuracy(self) -> Counts:
        """Share of rows where the decision agrees with the label."""
        return ratio(self.tp + self.tn, self.rows)

    @property
    def precision(self) -> Counts:
        """Share of the selected whose label is 1."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> Counts:
        """Share of the rows with label 1 that are selected: the true positive rate."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def fpr(self) -> Counts:
        """Share of the rows with label 0 that are selected: the false positive rate."""
        return ratio(self.fp, self.fp + self.tn)

    @property
    def selection_rate(self) -> Counts:
        """Share of rows that are selected."""
        return ratio(self.tp + self.fp, self.rows)


def selected(scores: NDArray[Any], threshold: float) -> NDArray[np.bool_]:
    """Which rows are selected: those that score the threshold or more; compared in float64."""
    return np.asarray(scores, np.float64) >= threshold


def threshold_at_rate(scores: NDArray[Any], rate: float) -> float:
    """The threshold that selects the ``rate`` of rows with the highest scores.

    It is the score of the last row selected, so rows that tie with it are selected too.

    Args:
        scores: Shape [rows].
        rate: Share of rows, above 0 up to 1; at least one row is selected.

    Raises:
        ValueError: No rows, or a rate outside 0 to 1.
    """
    if not len(scores) or not 0 < rate <= 1:
        raise ValueError(f"no threshold selects {rate} of {len(scores)} rows")
    place = len(scores) - max(1, round(rate * len(scores)))
    return float(np.partition(np.asarray(scores, np.float64), place)[place])


def flip_rate(ours: NDArray[np.bool_], theirs: NDArray[np.bool_], weights: ArrayLike = 1.0) -> Any:
    """Share of rows that two models decide differently (Milani Fard et al. 2016, "Launch and
    iterate: reducing prediction churn").

    Args:
        ours: One model's decisions: selected or not, or classes' numbers, shape [rows].
        theirs: The other's.
        weights: As in :meth:`Outcomes.count`.
    """
    shape = np.broadcast_shapes(np.shape(weights), ours.shape)
    weights = np.broadcast_to(np.asarray(weights, np.float64), shape)
    return ratio(weights @ (ours != theirs), weights.sum(axis=-1))


def ratio(part: ArrayLike, whole: ArrayLike) -> Counts:
    """``part / whole``, NaN where ``whole`` is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole != 0, part / whole, np.nan)
