"""From the table of predictions to what is told of it: overall, by slice, by sensitive feature."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date

import numpy as np
from numpy.typing import NDArray

from nightshift.definition.gates import FAIRNESS, MAIN, Metric
from nightshift.definition.slicing import Slicing
from nightshift.evaluation import metrics
from nightshift.evaluation.calibration import calibration_error
from nightshift.evaluation.comparison import Comparison, Rows
from nightshift.evaluation.estimates import Estimate
from nightshift.evaluation.outcomes import Outcomes, selected
from nightshift.evaluation.predictions import Predictions
from nightshift.evaluation.result import (
    CONFIDENCE,
    Confusion,
    Evaluation,
    Gap,
    Group,
    Interval,
    Scores,
)


def measure(
    comparison: Comparison,
    *,
    slices: tuple[Slicing, ...],
    sensitive: tuple[Slicing, ...],
    pipeline: str,
    night: date,
    champion_version: int | None,
    no_champion: str,
) -> Evaluation:
    """Everything that is measured of one table.

    Args:
        comparison: The table.
        slices: Declared slices.
        sensitive: Declared sensitive features: shown like slices, and by fairness.
        pipeline: Whose.
        night: Which.
        champion_version: With whom the candidate is compared.
        no_champion: Why with nobody.
    """
    predictions = comparison.predictions
    asked = [slicing.name for slicing in (*slices, *sensitive)]
    protected = [slicing.name for slicing in sensitive] if not predictions.classes else []
    return Evaluation(
        pipeline=pipeline,
        night=night,
        overall=_group(comparison, comparison.everything),
        slices=tuple(_group(comparison, r) for name in asked for r in comparison.rows(name)),
        champion_version=champion_version,
        no_champion=no_champion,
        confusion=_confusion(predictions) if predictions.classes else None,
        gaps=tuple(gap for name in protected for gap in _gaps(comparison, name)),
        flips={s.name: _flips(comparison, s.name) for s in sensitive if comparison.has_champion},
    )


def _confusion(predictions: Predictions) -> Confusion:
    def counts(scores: NDArray[np.float32]) -> tuple[tuple[int, ...], ...]:
        return tuple(map(tuple, metrics.confusion(predictions.labels, scores).tolist()))

    champion = predictions.champion
    return Confusion(
        classes=predictions.classes,
        candidate=counts(predictions.candidate),
        champion=None if champion is None else counts(champion),
    )


def _group(comparison: Comparison, rows: Rows) -> Group:
    predictions, measuring = comparison.predictions, comparison.measuring
    labels, champion = predictions.labels[rows.at], predictions.champion
    small = rows.slicing is not None and len(rows) < measuring.min_slice_size

    def scores(of: NDArray[np.float32]) -> Scores:
        return scores_of(labels, of[rows.at], comparison.threshold(of))

    return Group(
        slice=rows.slicing,
        value=rows.value,
        rows=len(rows),
        positives=None if predictions.classes else int(labels.sum()),
        candidate=scores(predictions.candidate),
        champion=None if champion is None else scores(champion),
        differences={} if small else dict(_differences(comparison, rows)),
        small=small,
    )


def _differences(comparison: Comparison, rows: Rows) -> Iterator[tuple[str, Interval]]:
    if not comparison.has_champion:
        return
    for metric in MAIN:
        if metric is Metric.AUC and comparison.predictions.classes:
            continue
        compared = comparison.measure(metric, rows)
        if compared and compared.difference:
            yield metric.value, interval_of(compared.difference)


def _gaps(comparison: Comparison, name: str) -> Iterator[Gap]:
    for rows in comparison.rows(name):
        for metric in FAIRNESS:
            compared = comparison.measure(metric, rows)
            if compared is None:
                continue
            yield Gap(
                sensitive=name,
                value=str(rows.value),
                rows=len(rows),
                metric=metric,
                candidate=interval_of(compared.candidate),
                champion=_interval(compared.champion),
                growth=_interval(compared.difference),
                small=len(rows) < comparison.measuring.min_slice_size,
            )


def _flips(comparison: Comparison, name: str) -> dict[str, float]:
    found = {str(r.value): comparison.measure(Metric.FLIP_RATE, r) for r in comparison.rows(name)}
    return {value: flips.candidate.value for value, flips in found.items() if flips}


def _interval(estimate: Estimate | None) -> Interval | None:
    return None if estimate is None else interval_of(estimate)


def interval_of(estimate: Estimate, confidence: float = CONFIDENCE) -> Interval:
    """An estimate as it is kept: without numbers that JSON does not have."""
    low, high = (b if math.isfinite(b) else None for b in estimate.interval(confidence))
    return Interval(value=estimate.value, low=low, high=high)


def scores_of(
    labels: NDArray[np.float32], scores: NDArray[np.float32], threshold: float = metrics.THRESHOLD
) -> Scores:
    """Every metric of one model's scores.

    Args:
        labels: Shape [rows].
        scores: Shape [rows] or [rows, classes].
        threshold: From which score on a row is selected.
    """
    if scores.ndim > 1:
        return Scores(
            auc=None,
            log_loss=metrics.log_loss(labels, scores),
            accuracy=metrics.accuracy(labels, scores),
        )
    outcomes = Outcomes.count(labels == 1, selected(scores, threshold))
    return Scores(
        auc=metrics.auc(labels, scores),
        log_loss=metrics.log_loss(labels, scores),
        accuracy=_number(outcomes.accuracy),
        pr_auc=metrics.pr_auc(labels, scores),
        precision=_number(outcomes.precision),
        recall=_number(outcomes.recall),
        calibration_error=calibration_error(labels, scores),
        selection_rate=_number(outcomes.selection_rate),
    )


def _number(value: NDArray[np.float64]) -> float | None:
    return float(value) if np.isfinite(value) else None
