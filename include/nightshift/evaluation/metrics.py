"""Metrics of a binary classifier, exact and vectorised.

Every function takes ``labels`` (0 or 1) and ``scores`` (probabilities of 1), both of shape [rows],
and raises ValueError where a score is not a finite number: NaN must never pass for a measurement.
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
    """Mean of ``-log(score)`` over ones and ``-log(1 - score)`` over zeros, in nats.

    Returns:
        None where there are no rows.
    """
    ones, scores = _checked(labels, scores)
    if not len(ones):
        return None
    chance = np.where(ones, scores, 1.0 - scores)
    clipped = np.clip(chance, LOG_LOSS_EPSILON, 1.0 - LOG_LOSS_EPSILON)
    return float(-np.log(clipped).mean())


def accuracy(labels: Array, scores: Array) -> float | None:
    """Share of rows where ``score >= 0.5`` agrees with the label.

    Returns:
        None where there are no rows.
    """
    ones, scores = _checked(labels, scores)
    if not len(ones):
        return None
    return float(((scores >= THRESHOLD) == ones).mean())


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
    wrong = int((~np.isfinite(scores)).sum())
    if wrong:
        raise ValueError(f"{wrong} of {len(scores)} scores are not finite numbers")
    return labels == 1, scores
