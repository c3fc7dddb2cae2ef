"""A night in TFMA's words and back: features that it slices by, and its slices by our names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

from nightshift.definition.gates import Measuring
from nightshift.definition.slicing import Part, Slicing
from nightshift.evaluation.agreement import CANDIDATE, CHAMPION, EVERYWHERE, Values, Where
from nightshift.evaluation.outcomes import threshold_at_rate
from nightshift.evaluation.predictions import Predictions
from nightshift.evaluation.slicing import NO_GROUP, groups_of

SliceKey: TypeAlias = tuple[tuple[str, Any], ...]
"""TFMA's name of a slice: pairs of feature and value, sorted; empty for all rows."""


@dataclass(frozen=True)
class Table:
    """What TFMA is told of a night.

    Attributes:
        labels: 0 or 1, or classes' numbers, shape [rows].
        scores: By model, shape [rows] or [rows, classes].
        thresholds: By model, from which score on a row is selected; empty for classes.
        features: By feature, the value in each row; None where a row is in no group of it.
        slicings: Features whose values, crossed with each other, are groups.
    """

    labels: NDArray[Any]
    scores: Mapping[str, NDArray[Any]]
    thresholds: Mapping[str, float]
    features: Mapping[str, Sequence[str | None]]
    slicings: Sequence[tuple[str, ...]]


def table_of(predictions: Predictions, slicings: Sequence[Slicing], measuring: Measuring) -> Table:
    """The night's table; buckets are values already, crossing them is left to TFMA."""
    models = {CANDIDATE: predictions.candidate, CHAMPION: predictions.champion}
    scores = {name: of for name, of in models.items() if of is not None}
    rate = measuring.rate
    thresholds = {
        name: measuring.threshold if rate is None else threshold_at_rate(of, rate)
        for name, of in scores.items()
        if not predictions.classes
    }
    parts = {_feature(part): part for slicing in slicings for part in slicing.parts}
    return Table(
        labels=predictions.labels,
        scores=scores,
        thresholds=thresholds,
        features={name: _values(part, predictions) for name, part in parts.items()},
        slicings=[tuple(_feature(part) for part in slicing.parts) for slicing in slicings],
    )


def by_name(
    measured: Mapping[SliceKey, Values], slicings: Sequence[Slicing]
) -> dict[Where, Values]:
    """TFMA's slices by the names that ours have."""
    named: dict[Where, Values] = {EVERYWHERE: measured[()]}
    for key, values in measured.items():
        features = dict(key)
        for slicing in slicings:
            names = [_feature(part) for part in slicing.parts]
            if features.keys() == set(names):
                named[slicing.name, ", ".join(features[name] for name in names)] = values
    return named


def _feature(part: Part) -> str:
    """A name for each way to group a column."""
    return f"{part.column} {[*part.values, *part.edges]}"


def _values(part: Part, predictions: Predictions) -> list[str | None]:
    groups = groups_of(Slicing(parts=(part,)), predictions.slices)
    return [None if n == NO_GROUP else groups.values[n] for n in groups.codes]
