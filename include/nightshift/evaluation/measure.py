"""From the table of predictions to metrics: over all rows, and by each value of each slice."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from nightshift.errors import BadDefinitionError
from nightshift.evaluation import metrics
from nightshift.evaluation.predictions import Predictions
from nightshift.evaluation.result import Confusion, Evaluation, Group, Scores

MOST_VALUES = 1000
"""A slice column with more values than this is no slice but a key or a quantity."""


def measure(
    predictions: Predictions,
    *,
    pipeline: str,
    night: date,
    champion_version: int | None,
    no_champion: str,
) -> Evaluation:
    """Everything that is measured of one table.

    Raises:
        BadDefinitionError: A slice column has too many values.
    """
    return Evaluation(
        pipeline=pipeline,
        night=night,
        overall=_group(predictions, np.arange(len(predictions)), None, None),
        slices=tuple(g for name in predictions.slices for g in _slices(predictions, name)),
        champion_version=champion_version,
        no_champion=no_champion,
        confusion=_confusion(predictions) if predictions.classes else None,
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


def _slices(predictions: Predictions, name: str) -> list[Group]:
    encoded = predictions.slices[name].dictionary_encode()
    values = encoded.dictionary.to_pylist()
    if len(values) > MOST_VALUES:
        raise BadDefinitionError(
            f"pipeline.yaml: slices: {name!r} has {len(values)} values in the holdout; the limit "
            f"is {MOST_VALUES}. Slice by a column with few values.",
            field="slices",
            column=name,
            value=len(values),
            limit=MOST_VALUES,
        )
    codes = encoded.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(values)))
    parts = np.split(order, ends[:-1])
    groups = [_group(predictions, rows, name, values[n]) for n, rows in enumerate(parts)]
    return sorted(groups, key=lambda group: (-group.rows, str(group.value)))


def _group(
    predictions: Predictions, rows: NDArray[np.intp], slice_: str | None, value: str | None
) -> Group:
    labels = predictions.labels[rows]
    champion = predictions.champion
    return Group(
        slice=slice_,
        value=value,
        rows=len(rows),
        positives=None if predictions.classes else int(labels.sum()),
        candidate=scores_of(labels, predictions.candidate[rows]),
        champion=None if champion is None else scores_of(labels, champion[rows]),
    )


def scores_of(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> Scores:
    """Every metric of one model's scores."""
    return Scores(
        auc=metrics.auc(labels, scores) if scores.ndim == 1 else None,
        log_loss=metrics.log_loss(labels, scores),
        accuracy=metrics.accuracy(labels, scores),
    )
