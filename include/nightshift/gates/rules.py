"""Judge an evaluation by a pipeline's rules. Pure: same evaluation, same judgements.

=============  =========================================  ===================================
rule           passes where (higher is better)            passes where (lower is better)
=============  =========================================  ===================================
``floor``      value >= floor                             value >= floor
``ceiling``    value <= ceiling                           value <= ceiling
``margin``     value >= champion - margin                 value <= champion + margin
=============  =========================================  ===================================

A limit that is met exactly passes. A value that was not measured, or is not a finite number, never
passes. Skipped is a rule that has nothing to judge: no champion, or a slice with too few rows or
with one label only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from nightshift.definition.model import GateRule, Metric
from nightshift.evaluation.result import Evaluation, Group


class Ruling(StrEnum):
    """How a rule ended for one group of rows."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Bound(StrEnum):
    """On which side of its limit a value must be."""

    AT_LEAST = ">="
    AT_MOST = "<="


class Judgement(BaseModel):
    """One rule, judged for one group of rows."""

    model_config = ConfigDict(frozen=True)

    rule: str
    """The rule's title."""
    metric: Metric
    slice: str | None
    value: str | None
    """The slice's value."""
    rows: int
    measured: float | None
    bound: Bound
    limit: float | None
    """None where there is no champion to take it from."""
    champion: float | None = None
    """The champion's value, where the rule compares with it."""
    ruling: Ruling
    reason: str = ""
    """Why it was skipped, or failed without a value."""

    @property
    def scope(self) -> str:
        """The group of rows in words."""
        return f"{self.slice} = {self.value}" if self.slice else "all rows"

    def __str__(self) -> str:
        limit = "" if self.limit is None else f", limit {self.bound} {self.limit:.6g}"
        shown = "not measured" if self.measured is None else f"measured {self.measured:.6g}"
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.rule} [{self.scope}, {self.rows} rows]: {shown}{limit}: {self.ruling}{why}"


def judge(rules: Sequence[GateRule], evaluation: Evaluation) -> tuple[Judgement, ...]:
    """One judgement per rule and group, in the order of the rules."""
    return tuple(judgement for rule in rules for judgement in _judge(rule, evaluation))


def _judge(rule: GateRule, evaluation: Evaluation) -> Iterator[Judgement]:
    groups = evaluation.groups(rule.slice)
    for group in groups:
        yield _judge_group(rule, group, evaluation.no_champion)
    if not groups:
        yield _unmeasured_slice(rule)


def _judge_group(rule: GateRule, group: Group, no_champion: str) -> Judgement:
    measured = group.candidate.of(rule.metric)
    champion = group.champion.of(rule.metric) if group.champion else None
    bound, limit = limit_of(rule, champion)
    reason = _skip_reason(rule, group, no_champion)
    ruling = Ruling.SKIPPED
    if not reason:
        passes = is_within(measured, bound, limit)
        ruling = Ruling.PASSED if passes else Ruling.FAILED
        if not passes and not _is_number(measured):
            reason = "the metric has no value"
        elif not passes and not _is_number(limit):
            reason = "the champion's metric has no value"
    return Judgement(
        rule=rule.title,
        metric=rule.metric,
        slice=group.slice,
        value=group.value,
        rows=group.rows,
        measured=measured,
        bound=bound,
        limit=limit,
        champion=champion if rule.margin is not None else None,
        ruling=ruling,
        reason=reason,
    )


def limit_of(rule: GateRule, champion: float | None) -> tuple[Bound, float | None]:
    """On which side of what limit the candidate must be."""
    if rule.floor is not None:
        return Bound.AT_LEAST, rule.floor
    if rule.ceiling is not None:
        return Bound.AT_MOST, rule.ceiling
    assert rule.margin is not None  # the definition allows exactly one of the three
    if rule.metric.higher_is_better:
        return Bound.AT_LEAST, None if champion is None else champion - rule.margin
    return Bound.AT_MOST, None if champion is None else champion + rule.margin


def is_within(measured: float | None, bound: Bound, limit: float | None) -> bool:
    """Whether a value meets its limit; never for what is missing, NaN or infinite."""
    if measured is None or limit is None or not _is_number(measured) or not _is_number(limit):
        return False
    return measured >= limit if bound is Bound.AT_LEAST else measured <= limit


def _skip_reason(rule: GateRule, group: Group, no_champion: str) -> str:
    if rule.slice and group.rows < rule.minimum_rows:
        return f"{group.rows} rows, judged from {rule.minimum_rows} on"
    if rule.slice and rule.metric is Metric.AUC and group.one_sided:
        return "all rows have the same label"
    if rule.margin is not None and group.champion is None:
        return no_champion or "no champion"
    return ""


def _unmeasured_slice(rule: GateRule) -> Judgement:
    bound, limit = limit_of(rule, None)
    return Judgement(
        rule=rule.title,
        metric=rule.metric,
        slice=rule.slice,
        value="(no value)",
        rows=0,
        measured=None,
        bound=bound,
        limit=limit,
        ruling=Ruling.FAILED,
        reason="the evaluation holds no such slice",
    )


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
