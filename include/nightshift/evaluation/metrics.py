"""Metrics of a classifier, exact and vectorised.

Every function takes ``labels`` and ``scores``. Of two classes: labels 0 or 1 and the probabilities
of 1, both of shape [rows]. Of more: labels are the classes' numbers from 0, shape [rows], and
scores the probabilities of each class, shape [rows, classes]. All raise ValueError where a score is
not a finite number: NaN must never pass for a measurement.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

LOG_LOSS_EPSILON = 1e-7
"""Scores are held this far from 0 and 1, as Keras does: one sure error does not cost infinity."""

THRESHOLD = 0.5

Array: TypeAlias = NDArray[Any]


def auc(labels: Array, scores: Array) -> float | None:
    """Area under the ROC curve: the chance that a random 1 scores above a random 0.

    ``(R - p (p + 1) / 2) / (p n)``, with R the sum of the ranks of the p ones among all scores
    (ties share their mean rank) and n the number of zeros: the Mann-Whitney U statistic over its
    largest value (Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve").
    Exact, unlike an interpolation over thresholds.

    Returns:
        None where all labels are the same, which leaves nothing to rank.
    """
    ones, scores = _checked(labels, scores)
    positives = int(ones.sum())
    negatives = len(ones) - positives
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(mean_ranks[place][ones].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def log_loss(labels: Array, scores: Array) -> float | None:
    """Mean of ``-log(probability of the row's own label)``, in nats.

    Returns:
        None where there are no rows.
    """
    if np.ndim(scores) > 1:
        numbers, scores = _checked_classes(labels, scores)
        chance = scores[np.arange(len(numbers)), numbers]
    else:
        ones, scores = _checked(labels, scores)
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
        numbers, scores = _checked_classes(labels, scores)
        right = scores.argmax(axis=1) == numbers
    else:
        ones, scores = _checked(labels, scores)
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
    numbers, scores = _checked_classes(labels, scores)
    classes = scores.shape[1]
    pairs = numbers * classes + scores.argmax(axis=1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def roc(labels: Array, scores: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ROC curve: false and true positive rates from (0, 0) to (1, 1), one per distinct score.

    Raises:
        ValueError: All labels are the same.
    """
    ones, scores = _checked(labels, scores)
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


def _checked(labels: Array, scores: Array) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise ValueError(
            f"labels have shape {labels.shape}, scores {scores.shape}; expected [rows]"
        )
    _refuse_no_number(scores)
    return labels == 1, scores


def _checked_classes(labels: Array, scores: Array) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
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


def _refuse_no_number(scores: NDArray[np.float64]) -> None:
    wrong = int((~np.isfinite(scores)).sum())
    if wrong:
        raise ValueError(f"{wrong} of {scores.size} scores are not finite numbers")
