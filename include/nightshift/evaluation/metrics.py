"""Metrics of a classifier, exact and vectorised.

Every function takes ``labels`` and ``scores``. Of two classes: labels 0 or 1 and the probabilities
of 1, both of shape [rows]. Of more: labels are the classes' numbers from 0, shape [rows], and
scores the probabilities of each class, shape [rows, classes]. All raise ValueError where a score is
not a finite number: NaN must never pass for a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nightshift.evaluation.outcomes import ratio

LOG_LOSS_EPSILON = 1e-7
"""Scores are held this far from 0 and 1, as Keras does: one sure error does not cost infinity."""

THRESHOLD = 0.5

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Steps:
    """Rows from the lowest score up, counted where there are ones: all that a ranking metric needs.

    Counts may be weighted, and stand for many replicates at once.

    Attributes:
        hits: Rows with label 1 at each score that one has, shape [..., scores].
        below: Rows with label 0 that score less; the same shape.
        level: Rows with label 0 that score less or as much; the same shape.
        zeros: All rows with label 0, shape [...].
    """

    hits: NDArray[np.float64]
    below: NDArray[np.float64]
    level: NDArray[np.float64]
    zeros: NDArray[np.float64]

    @classmethod
    def count(cls, labels: Array, scores: Array) -> Steps:
        """Each row once; raises ValueError as all metrics do."""
        ones, scores = checked(labels, scores)
        distinct, place = np.unique(scores, return_inverse=True)
        hits = np.bincount(place[ones], minlength=len(distinct))
        zeros = np.bincount(place[~ones], minlength=len(distinct))
        level = np.cumsum(zeros)
        at = hits > 0
        # As float64, in which whole numbers are exact up to 2**53: pairs are more than rows.
        found, below, passed = (of[at].astype(float) for of in (hits, level - zeros, level))
        return cls(found, below, passed, np.asarray(zeros.sum(), np.float64))

    @property
    def ones(self) -> NDArray[np.float64]:
        """All rows with label 1, shape [...]."""
        return self.hits.sum(axis=-1)

    @property
    def auc(self) -> NDArray[np.float64]:
        """See :func:`auc`; shape [...], NaN where all labels are the same."""
        won = (self.hits * (self.below + self.level)).sum(axis=-1) / 2
        return ratio(won, self.ones * self.zeros)

    @property
    def pr_auc(self) -> NDArray[np.float64]:
        """See :func:`pr_auc`; shape [...], NaN where all labels are the same.

        From one score down to the next, ``h`` ones are found among ``r`` rows: after ``x`` rows in
        all, ``a + x h / r`` ones, a share of ``a / x + h / r``. Its integral over the ones found is
        ``h / r (h + a log(x1 / x0))``. Scores that no one has add nothing.
        """
        ones, zeros = self.ones[..., None], self.zeros[..., None]
        found = ones - np.cumsum(self.hits, axis=-1) + self.hits
        chosen = found + zeros - self.below
        before = found - self.hits + zeros - self.level
        rows = chosen - before
        slope = np.divide(self.hits, rows, out=np.zeros_like(rows), where=rows > 0)
        stretch = np.divide(chosen, before, out=np.ones_like(rows), where=before > 0)
        area = (slope * (self.hits + (found - slope * chosen) * np.log(stretch))).sum(axis=-1)
        return np.where(self.zeros > 0, ratio(area, self.ones), np.nan)


def auc(labels: Array, scores: Array) -> float | None:
    """Area under the ROC curve: the chance that a random 1 scores above a random 0, a tie counting
    half (Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve").

    Exact, unlike an interpolation over thresholds.

    Returns:
        None where all labels are the same, which leaves nothing to rank.
    """
    return _number(Steps.count(labels, scores).auc)


def pr_auc(labels: Array, scores: Array) -> float | None:
    """Area under the precision-recall curve, interpolated between its points as Davis and Goadrich
    proved right (2006, "The relationship between precision-recall and ROC curves"): along a tie,
    or between two scores, as many ones are found per row selected. Exact, from all scores.

    Keras and TFMA interpolate so too, over 10,000 thresholds. scikit-learn's average precision
    takes steps instead, each at the height of its far end: the same points, but larger by chance,
    with p ones of n rows by about ``(1 - p / n) log(p) / (2 n)`` of a useless model; 0.0007 of
    0.38 on 6,000 rows, and more in a slice.

    Returns:
        None where all labels are the same, which leaves nothing to find.
    """
    return _number(Steps.count(labels, scores).pr_auc)


def log_loss(labels: Array, scores: Array) -> float | None:
    """Mean of ``-log(probability of the row's own label)``, in nats.

    Returns:
        None where there are no rows.
    """
    if np.ndim(scores) > 1:
        numbers, scores = checked_classes(labels, scores)
        chance = scores[np.arange(len(numbers)), numbers]
    else:
        ones, scores = checked(labels, scores)
        chance = np.where(ones, scores, 1.0 - scores)
    if not len(chance):
        return None
    clipped = np.clip(chance, LOG_LOSS_EPSILON, 1.0 - LOG_LOSS_EPSILON)
    return float(-np.log(clipped).mean())


def accuracy(labels: Array, scores: Array) -> float | None:
    """Share of rows where ``score >= 0.5`` agrees with the label, or where the likeliest class
    (of equal ones the first) is the label.

    Returns:
        None where there are no rows.
    """
    if np.ndim(scores) > 1:
        numbers, scores = checked_classes(labels, scores)
        right = scores.argmax(axis=1) == numbers
    else:
        ones, scores = checked(labels, scores)
        right = (scores >= THRESHOLD) == ones
    return float(right.mean()) if len(right) else None


def confusion(labels: Array, scores: Array) -> NDArray[np.int64]:
    """How many rows of each class (first axis) have which likeliest class (second axis).

    Args:
        labels: Classes' numbers, shape [rows].
        scores: Shape [rows, classes].

    Returns:
        Shape [classes, classes].
    """
    numbers, scores = checked_classes(labels, scores)
    classes = scores.shape[1]
    pairs = numbers * classes + scores.argmax(axis=1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def roc(labels: Array, scores: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ROC curve: false and true positive rates from (0, 0) to (1, 1), one per distinct score.

    Raises:
        ValueError: All labels are the same.
    """
    ones, scores = checked(labels, scores)
    if ones.all() or not ones.any():
        raise ValueError("a ROC curve needs both labels")
    order = np.argsort(-scores, kind="stable")
    ones, scores = ones[order], scores[order]
    last_of_tie: NDArray[np.intp] = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    hits = np.cumsum(ones)[last_of_tie]
    alarms = last_of_tie + 1 - hits
    zero = np.zeros(1)
    return (
        np.concatenate([zero, alarms / alarms[-1]]),
        np.concatenate([zero, hits / hits[-1]]),
    )


def checked(labels: Array, scores: Array) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each label is 1, and the scores as float64; raises ValueError as all metrics do."""
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise ValueError(
            f"labels have shape {labels.shape}, scores {scores.shape}; expected [rows]"
        )
    _refuse_no_number(scores)
    return labels == 1, scores


def checked_classes(labels: Array, scores: Array) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Classes' numbers, and the scores as float64; raises ValueError as all metrics do."""
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(
            f"labels have shape {labels.shape}, scores {scores.shape}; expected [rows] and "
            "[rows, classes]"
        )
    _refuse_no_number(scores)
    numbers = labels.astype(np.int64)
    strangers = (numbers != labels) | (numbers < 0) | (numbers >= scores.shape[1])
    if strangers.any():
        raise ValueError(
            f"label {labels[strangers][0]} is no number of one of {scores.shape[1]} classes"
        )
    return numbers, scores


def _number(value: NDArray[np.float64]) -> float | None:
    return None if np.isnan(value) else float(value)


def _refuse_no_number(scores: NDArray[np.float64]) -> None:
    wrong = int((~np.isfinite(scores)).sum())
    if wrong:
        raise ValueError(f"{wrong} of {scores.size} scores are not finite numbers")
