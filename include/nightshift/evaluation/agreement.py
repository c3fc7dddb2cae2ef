"""Two measurements of one night held against each other: ours, and that of TFMA."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict

from nightshift.definition.gates import Metric
from nightshift.evaluation.fairness import (
    fpr_gap,
    selection_rate_gap,
    selection_rate_ratio,
    tpr_gap,
)
from nightshift.evaluation.outcomes import Outcomes
from nightshift.evaluation.result import Confusion, Evaluation, Gap, Group

Where: TypeAlias = tuple[str | None, str | None]
"""Slicing and group; (None, None) is all rows."""
Values: TypeAlias = Mapping[tuple[str, str], float]
"""By model and name: what TFMA measured of one group (see ``tfma_metrics``)."""

CANDIDATE, CHAMPION = "candidate", "champion"
EVERYWHERE: Where = (None, None)
EXACT = 1e-6
LIMITS = {"auc": 1e-4, "pr_auc": 1e-4, "log_loss": 1e-5}
"""Largest difference allowed; of whatever is not named here, ``EXACT``. TFMA interpolates areas
over 10,000 thresholds, and scales a row's probabilities of classes to a sum of one."""
OVERALL_ONLY = frozenset({"auc", "pr_auc"})
"""Shown and not judged in slices: of few rows, an interpolation is off by more."""
_GAPS = {
    Metric.SELECTION_RATE_RATIO: selection_rate_ratio,
    Metric.SELECTION_RATE_GAP: selection_rate_gap,
    Metric.TPR_GAP: tpr_gap,
    Metric.FPR_GAP: fpr_gap,
}


class Pair(BaseModel):
    """One value measured twice; None where a side leaves it undefined, or does not have it."""

    model_config = ConfigDict(frozen=True)

    metric: str
    model: str
    slice: str | None
    value: str | None
    ours: float | None
    theirs: float | None

    @property
    def difference(self) -> float:
        """Without sign; infinite where one side alone has a value."""
        if self.ours is None or self.theirs is None:
            return 0.0 if self.ours is self.theirs else math.inf
        return abs(self.ours - self.theirs)

    @property
    def limit(self) -> float | None:
        """Largest difference allowed; None where it is shown alone."""
        if self.slice is not None and self.metric in OVERALL_ONLY:
            return None
        return LIMITS.get(self.metric, EXACT)

    @property
    def agrees(self) -> bool:
        """Whether the difference is within its limit."""
        return self.limit is None or self.difference <= self.limit

    @property
    def title(self) -> str:
        """What was measured, of which model, where."""
        where = f"{self.slice} = {self.value}" if self.slice else "all rows"
        return f"{self.metric} of {self.model} [{where}]"


def pairs(ours: Evaluation, theirs: Mapping[Where, Values]) -> Iterator[Pair]:
    """Everything that both measured, and groups that one side alone has."""
    found: set[Where] = set()
    for group in (ours.overall, *ours.slices):
        where = (group.slice, group.value)
        found.add(where)
        yield from _of_group(group, theirs.get(where, {}))
    for where in theirs.keys() - found:
        yield _pair("rows", CANDIDATE, where, None, theirs[where].get((CANDIDATE, "rows")))
    for gap in ours.gaps:
        yield from _of_gap(gap, theirs)
    for sensitive, rates in ours.flips.items():
        for value, rate in rates.items():
            yield from _known(CANDIDATE, (sensitive, value), {"flip_rate": rate}, theirs)
    if ours.confusion:
        yield from _of_classes(ours.confusion, theirs[EVERYWHERE])


def largest(of: Iterable[Pair]) -> dict[tuple[str, bool], tuple[int, Pair]]:
    """By metric, and whether overall: how many values were compared, and the worst pair."""
    worst: dict[tuple[str, bool], tuple[int, Pair]] = {}
    for pair in of:
        key = (pair.metric, pair.slice is None)
        count, before = worst.get(key, (0, pair))
        worst[key] = (count + 1, max(before, pair, key=lambda p: p.difference))
    return worst


def _of_group(group: Group, theirs: Values) -> Iterator[Pair]:
    where = (group.slice, group.value)
    models = {CANDIDATE: group.candidate, CHAMPION: group.champion}
    for model, scores in models.items():
        if scores is None:
            continue
        yield _pair("rows", model, where, group.rows, theirs.get((model, "rows")))
        if group.positives is not None:
            yield _pair("positives", model, where, group.positives, _positives(theirs, model))
        yield from _known(model, where, scores.model_dump(), {where: theirs})


def _known(
    model: str, where: Where, ours: Mapping[str, float | None], theirs: Mapping[Where, Values]
) -> Iterator[Pair]:
    """Those of our values that TFMA has a name for."""
    values = theirs.get(where, {})
    for name, value in ours.items():
        if (model, name) in values:
            yield _pair(name, model, where, value, values[model, name])


def _of_gap(gap: Gap, theirs: Mapping[Where, Values]) -> Iterator[Pair]:
    """A gap that TFMA has no word for, from its counts of the group and of everybody."""
    where = (gap.sensitive, gap.value)
    if gap.metric not in _GAPS or where not in theirs:
        return
    for model, interval in {CANDIDATE: gap.candidate, CHAMPION: gap.champion}.items():
        if interval is None:
            continue
        group = _outcomes(theirs[where], model)
        rest = _outcomes(theirs[EVERYWHERE], model) - group
        value = float(_GAPS[gap.metric](group, rest))
        yield _pair(gap.metric, model, where, interval.value, value)


def _outcomes(values: Values, model: str) -> Outcomes:
    return Outcomes(*(np.float64(values[model, name]) for name in ("tp", "fp", "fn", "tn")))


def _positives(values: Values, model: str) -> float | None:
    if (model, "tp") not in values:
        return None
    return values[model, "tp"] + values[model, "fn"]


def _of_classes(confusion: Confusion, theirs: Values) -> Iterator[Pair]:
    for model in (CANDIDATE, CHAMPION):
        counts = confusion.candidate if model == CANDIDATE else confusion.champion
        for label, row in enumerate(counts or ()):
            for answer, rows in enumerate(row):
                # What never happened TFMA does not list.
                value = theirs.get((model, f"confusion {label} {answer}"), 0.0)
                yield _pair("confusion", model, EVERYWHERE, rows, value)


def _pair(metric: str, model: str, where: Where, ours: float | None, theirs: float | None) -> Pair:
    undefined = theirs is None or math.isnan(theirs)
    return Pair(
        metric=str(metric),
        model=model,
        slice=where[0],
        value=where[1],
        ours=ours,
        theirs=None if undefined else theirs,
    )
