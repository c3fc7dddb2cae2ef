"""Judge a comparison by a pipeline's rules. Same table, rules and seed, same judgements.

A rule's value has an interval, and the interval decides, never the point:

================  ==============================================================================
ruling            where
================  ==============================================================================
``passed``        the whole interval is on the good side of the limit
``failed``        the whole interval is on the bad side
``inconclusive``  the limit is inside: the rows allow neither claim
``skipped``       nothing to judge: no champion, or a group with too few rows
================  ==============================================================================

The good side is at least a ``floor``, at most a ``ceiling``, and for a ``margin`` a difference
(candidate less champion) that is worse by at most the margin: the non-inferiority test. Of a gap
the ceiling is about its size on either side of zero. A limit met exactly is on the good side. What
was not measured, or is no finite number, never passes.

**Many groups.** A rule by slice fails where any of its groups does, so with g groups each is failed
only at the confidence ``1 - (1 - c) / g`` (Bonferroni): without it, nineteen healthy groups would
fail a night by chance as good as always. A pass needs no correction, for *every* group must pass by
itself, at the rule's own confidence: an intersection-union test (Berger 1982, "Multiparameter
hypothesis testing and acceptance sampling").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from nightshift.definition.gates import GateRule, Metric
from nightshift.evaluation.comparison import Compared, Comparison, Rows
from nightshift.evaluation.estimates import Estimate, Known


class Ruling(StrEnum):
    """How a rule ended for one group of rows."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"


class Bound(StrEnum):
    """On which side of its limit a value must be."""

    AT_LEAST = ">="
    AT_MOST = "<="
    WITHIN = "within ±"


class Judgement(BaseModel):
    """One rule, judged for one group of rows."""

    model_config = ConfigDict(frozen=True)

    rule: str
    """The rule's title."""
    metric: Metric
    slice: str | None
    value: str | None
    """The group's name."""
    rows: int | None
    """None for a fact of the night."""
    candidate: float | None
    """The candidate's value."""
    champion: float | None = None
    """The champion's value, where the rule compares with it."""
    measured: float | None
    """What is held against the limit: the candidate's value, or the difference."""
    low: float | None = None
    high: float | None = None
    """The interval at the rule's confidence."""
    confidence: float | None = None
    fail_confidence: float | None = None
    """The confidence that a failure needs, corrected for the number of groups."""
    method: str = ""
    bound: Bound
    limit: float
    ruling: Ruling
    reason: str = ""
    """Why it was skipped, or ended without a value."""
    warn_only: bool = False

    @property
    def scope(self) -> str:
        """The group of rows in words."""
        if self.rows is None:
            return "the night"
        return f"{self.slice} = {self.value}" if self.slice else "all rows"

    @property
    def decisive(self) -> Ruling:
        """The ruling, as far as it decides: an exception that was declared never stops."""
        if self.warn_only and self.ruling in (Ruling.FAILED, Ruling.INCONCLUSIVE):
            return Ruling.SKIPPED
        return self.ruling

    def __str__(self) -> str:
        shown = "not measured" if self.measured is None else f"measured {self.measured:.6g}"
        if self.low is not None and self.high is not None and self.low != self.high:
            shown += f" ({self.low:.6g} to {self.high:.6g} at {self.confidence:.0%})"
        why = f" ({self.reason})" if self.reason else ""
        rows = "" if self.rows is None else f", {self.rows} rows"
        only = ", a warning only" if self.warn_only else ""
        return (
            f"{self.rule} [{self.scope}{rows}]: {shown}, limit {self.bound} {self.limit:.6g}: "
            f"{self.ruling}{only}{why}"
        )


@dataclass(frozen=True)
class Limit:
    """The good side: everything from ``low`` to ``high``, both included."""

    low: float = -math.inf
    high: float = math.inf

    def ruling(self, estimate: Estimate, pass_at: float, fail_at: float) -> Ruling:
        """On which side the estimate is, surely enough."""
        low, high = estimate.interval(pass_at)
        fail_low, fail_high = estimate.interval(fail_at)
        if not all(map(math.isfinite, (estimate.value, low, high, fail_low, fail_high))):
            return Ruling.INCONCLUSIVE
        if self.low <= low and high <= self.high:
            return Ruling.PASSED
        if fail_high < self.low or fail_low > self.high:
            return Ruling.FAILED
        return Ruling.INCONCLUSIVE


def judge(
    rules: Sequence[GateRule],
    comparison: Comparison,
    facts: Mapping[Metric, float],
    no_champion: str = "",
) -> tuple[Judgement, ...]:
    """One judgement per rule and group, in the order of the rules.

    Args:
        rules: Section ``gates``.
        comparison: The night's table.
        facts: What is known about the night, as far as it is.
        no_champion: Why there is no champion.
    """
    court = _Court(comparison, facts, no_champion)
    return tuple(judgement for rule in rules for judgement in court.judge(rule))


def judge_operators(forbidden: Sequence[str]) -> tuple[Judgement, ...]:
    """The rule that every pipeline has: a model with forbidden operators fails, by their names.

    A model without any is not judged by it: it says nothing of the model's worth, so a gate of
    which no other rule could be judged must not pass by it.
    """
    if not forbidden:
        return ()
    count = float(len(forbidden))
    judgement = Judgement(
        **_about(GateRule(metric=Metric.FORBIDDEN_OPERATORS, ceiling=0)),
        slice=None,
        value=None,
        rows=None,
        candidate=count,
        measured=count,
        low=count,
        high=count,
        method=Known.method,
        ruling=Ruling.FAILED,
        reason=f"{', '.join(forbidden)}: not on the list of operators/allowed.txt",
    )
    return (judgement,)


@dataclass(frozen=True)
class _Court:
    comparison: Comparison
    facts: Mapping[Metric, float]
    no_champion: str

    def judge(self, rule: GateRule) -> list[Judgement]:
        if rule.metric.is_fact:
            return [self._fact(rule)]
        groups = self.comparison.rows(rule.slice)
        judged = [rows for rows in groups if not self._too_small(rule, rows)]
        fail_at = 1 - (1 - rule.confidence) / max(1, len(judged))
        return [self._group(rule, rows, fail_at) for rows in groups] or [_nothing(rule)]

    def _group(self, rule: GateRule, rows: Rows, fail_at: float) -> Judgement:
        compared = self.comparison.measure(rule.metric, rows)
        reason = self._skip_reason(rule, rows, compared)
        estimate = _held(rule, compared)
        ruling = Ruling.SKIPPED
        if not reason and estimate is None:
            ruling, reason = Ruling.INCONCLUSIVE, "the metric has no value in these rows"
        elif not reason and estimate is not None:
            ruling = limit_of(rule).ruling(estimate, rule.confidence, fail_at)
        low, high = estimate.interval(rule.confidence) if estimate else (None, None)
        champion = compared.champion if compared and rule.margin is not None else None
        return Judgement(
            **_about(rule),
            slice=rows.slicing,
            value=rows.value,
            rows=len(rows),
            candidate=compared.candidate.value if compared else None,
            champion=champion.value if champion else None,
            measured=estimate.value if estimate else None,
            low=_finite(low),
            high=_finite(high),
            confidence=rule.confidence,
            fail_confidence=fail_at,
            method=estimate.method if estimate else "",
            ruling=ruling,
            reason=reason,
        )

    def _fact(self, rule: GateRule) -> Judgement:
        value = self.facts.get(rule.metric)
        ruling, reason = Ruling.INCONCLUSIVE, "not known of this night"
        if value is not None:
            reason = ""
            ruling = limit_of(rule).ruling(Known(value), rule.confidence, rule.confidence)
        elif rule.metric is Metric.CHAMPION_AGE_DAYS:
            ruling, reason = Ruling.SKIPPED, self.no_champion or "no champion"
        return Judgement(
            **_about(rule),
            slice=None,
            value=None,
            rows=None,
            candidate=value,
            measured=value,
            low=value,
            high=value,
            method=Known.method,
            ruling=ruling,
            reason=reason,
        )

    def _too_small(self, rule: GateRule, rows: Rows) -> bool:
        return rule.slice is not None and len(rows) < self._least(rule)

    def _least(self, rule: GateRule) -> int:
        return rule.minimum_rows or self.comparison.measuring.min_slice_size

    def _skip_reason(self, rule: GateRule, rows: Rows, compared: Compared | None) -> str:
        if self._too_small(rule, rows):
            return f"{len(rows)} rows, judged from {self._least(rule)} on"
        needs_two = rule.margin is not None or rule.metric is Metric.FLIP_RATE
        if needs_two and not self.comparison.has_champion:
            return self.no_champion or "no champion"
        if rule.slice and compared is None and not rule.metric.is_fairness:
            return "the metric has no value in these rows, such as where all labels are the same"
        return ""


def limit_of(rule: GateRule) -> Limit:
    """The good side of a rule's limit."""
    if rule.margin is not None:
        worse = -rule.margin if rule.metric.higher_is_better else rule.margin
        return Limit(low=worse) if rule.metric.higher_is_better else Limit(high=worse)
    if rule.floor is not None:
        return Limit(low=rule.floor)
    assert rule.ceiling is not None  # the definition allows exactly one of the three
    if _is_signed(rule.metric):
        return Limit(low=-rule.ceiling, high=rule.ceiling)
    return Limit(high=rule.ceiling)


def _held(rule: GateRule, compared: Compared | None) -> Estimate | None:
    """What is held against the limit."""
    if compared is None:
        return None
    return compared.candidate if rule.margin is None else compared.difference


def _is_signed(metric: Metric) -> bool:
    return metric.is_fairness and metric is not Metric.SELECTION_RATE_RATIO


def _about(rule: GateRule) -> dict[str, Any]:
    limit = limit_of(rule)
    both = math.isfinite(limit.low) and math.isfinite(limit.high)
    bound = Bound.AT_LEAST if math.isfinite(limit.low) else Bound.AT_MOST
    return {
        "rule": rule.title,
        "metric": rule.metric,
        "bound": Bound.WITHIN if both else bound,
        "limit": limit.high if math.isfinite(limit.high) else limit.low,
        "warn_only": rule.warn_only,
    }


def _nothing(rule: GateRule) -> Judgement:
    return Judgement(
        **_about(rule),
        slice=rule.slice,
        value="(no value)",
        rows=0,
        candidate=None,
        measured=None,
        ruling=Ruling.INCONCLUSIVE,
        reason="no row of the holdout is in any group of this slicing",
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
