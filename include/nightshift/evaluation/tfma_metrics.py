"""The same metrics by TFMA, from predictions alone: which of TFMA's stands for which of ours.

Runs in the ``validation`` runtime. A value that TFMA leaves undefined is NaN.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
from numpy.typing import NDArray

from nightshift.evaluation.agreement import CANDIDATE, CHAMPION
from nightshift.evaluation.calibration import BINS
from nightshift.evaluation.metrics import LOG_LOSS_EPSILON
from nightshift.evaluation.tfma_run import Computations, Row
from nightshift.evaluation.tfma_table import SliceKey, Table

_HELD = " held from 0 and 1"
_CALIBRATION, _CONFUSION = "calibration_plot", "confusion"


def measure(table: Table) -> dict[SliceKey, dict[tuple[str, str], float]]:
    """Every slice's values by model and name, those of all rows (an empty key) among them.

    Names are those of :class:`~nightshift.definition.gates.Metric`, and the counts ``rows``,
    ``tp``, ``fp``, ``fn``, ``tn``, or of classes ``confusion <label> <answer>``.
    """
    measured = Computations(config_of(table)).run(tuple(table.features), _rows(table))
    # TFMA divides by zero wherever a group leaves a value undefined.
    with np.errstate(divide="ignore", invalid="ignore"):
        return {key: _values(outputs) for key, outputs in measured}


def config_of(table: Table) -> tfma.EvalConfig:
    """Models, metrics and slicings as TFMA has them told."""
    specs = [spec for model in table.scores for spec in _specs(table, model)]
    thresholds = set(table.thresholds.values())
    if CHAMPION in table.scores and len(thresholds) == 1:
        # TFMA has one threshold for both models.
        flips = _metric("SymmetricFlipRate", "flip_rate", threshold=_below(*thresholds))
        specs.append(tfma.MetricsSpec(metrics=[flips], model_names=[CANDIDATE, CHAMPION]))
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(name=m, is_baseline=m == CHAMPION) for m in table.scores],
        metrics_specs=specs,
        slicing_specs=[tfma.SlicingSpec(feature_keys=names) for names in ((), *table.slicings)],
    )


def _specs(table: Table, model: str) -> list[tfma.MetricsSpec]:
    rows = _metric("ExampleCount", "rows")
    if table.scores[model].ndim > 1:
        metrics = [
            rows,
            _metric("MultiClassConfusionMatrixAtThresholds", _CONFUSION, thresholds=[0.0]),
        ]
        loss = _metric("CategoricalCrossEntropy", "log_loss")
    else:
        metrics = [rows, *_of_two_classes(_below(table.thresholds[model]))]
        loss = _metric("BinaryCrossEntropy", "log_loss")
    return [
        tfma.MetricsSpec(metrics=metrics, model_names=[model]),
        tfma.MetricsSpec(metrics=[loss], model_names=[model + _HELD]),
    ]


def _of_two_classes(threshold: float) -> list[tfma.MetricConfig]:
    decided = {
        "tp": "TruePositives",
        "fp": "FalsePositives",
        "fn": "FalseNegatives",
        "tn": "TrueNegatives",
        "precision": "Precision",
        "recall": "Recall",
        "selection_rate": "PredictedPositiveRate",
    }
    return [
        _metric("AUC", "auc"),
        _metric("AUCPrecisionRecall", "pr_auc"),
        _metric("CalibrationPlot", _CALIBRATION, num_buckets=BINS),
        _metric("BinaryAccuracy", "accuracy", threshold=threshold),
        *(_metric(kind, name, thresholds=threshold) for name, kind in decided.items()),
    ]


def _metric(kind: str, name: str, **told: Any) -> tfma.MetricConfig:
    """By name, as in a configuration file: TFMA 0.47 cannot copy a ``BinaryAccuracy`` object."""
    return tfma.MetricConfig(class_name=kind, config=json.dumps({"name": name, **told}))


def _below(threshold: float) -> float:
    """TFMA selects what scores more than a threshold, Nightshift what scores as much or more."""
    return float(np.nextafter(threshold, -np.inf))


def _rows(table: Table) -> Iterator[Row]:
    classes = {scores.shape[1] for scores in table.scores.values() if scores.ndim > 1}
    labels = np.eye(*classes)[table.labels.astype(int)] if classes else table.labels[:, None]
    models: dict[str, NDArray[np.float64]] = {}
    for model, scores in table.scores.items():
        double = scores.astype(np.float64).reshape(len(scores), -1)
        models[model] = double
        # As ours are: TFMA's loss of one sure error is infinite.
        models[model + _HELD] = double.clip(LOG_LOSS_EPSILON, 1 - LOG_LOSS_EPSILON)
    for place, values in enumerate(zip(*table.features.values(), strict=True)):
        yield values, labels[place], {name: scores[place] for name, scores in models.items()}


def _values(outputs: Mapping[Any, Any]) -> dict[tuple[str, str], float]:
    values: dict[tuple[str, str], float] = {}
    for key, value in outputs.items():
        model = key.model_name.removesuffix(_HELD)
        if key.name == _CALIBRATION:
            values[model, "calibration_error"] = _calibration_error(value)
        elif key.name == _CONFUSION:
            values |= {(model, name): number for name, number in _confusion(value)}
        elif not key.name.startswith("_"):
            values[model, key.name] = float(np.squeeze(value))
    return values


def _calibration_error(plot: Any) -> float:
    """Of TFMA's buckets, whose labels and predictions are sums over rows.

    TFMA keeps what scores below 0, and what scores 1 or more, in buckets of their own; in ours a
    score of 1 is in the last bin.
    """
    sums = np.array(
        [
            (
                bucket.total_weighted_refined_prediction.value - bucket.total_weighted_label.value,
                bucket.num_weighted_examples.value,
            )
            for bucket in plot.buckets
        ]
    )
    excess, rows = sums.T
    bins = np.add.reduceat(excess, [0, *range(2, BINS + 1)])
    return float(np.abs(bins).sum() / rows.sum()) if rows.sum() else float("nan")


def _confusion(matrices: Any) -> Iterator[tuple[str, float]]:
    (matrix,) = matrices.values()
    for entry, rows in matrix.items():
        yield f"{_CONFUSION} {entry.actual_class_id} {entry.predicted_class_id}", rows
    right = sum(
        n for entry, n in matrix.items() if entry.actual_class_id == entry.predicted_class_id
    )
    yield "accuracy", right / sum(matrix.values())
