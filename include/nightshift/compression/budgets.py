"""Judge each variant by its budgets. Pure: same measurements, same verdicts.

==================  ======================================================================
budget              kept where
==================  ======================================================================
``size``            bytes / bytes of the float TFLite model <= ``max_size_ratio``
``metric``          loss of the main metric against the float TFLite model, on the same
                    rows, <= ``max_metric_drop``; a gain is a negative loss
``latency``         median time of one row, one thread / the float model's <=
                    ``max_latency_ratio``
``integer``         no operator in float, in a target that claims full integer
==================  ======================================================================

A limit that is met exactly is kept. What was not measured, or is no finite number, never is. The
main metric is the one that the pipeline's first gate judges.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from nightshift.compression.result import Measured, MeasuredVariant, Variants
from nightshift.definition.compression import Budgets, Compression, Target
from nightshift.definition.gates import Metric

ROUNDING = 1e-9
"""Forgiven above a limit: a difference of two metrics carries the rounding of both."""


class Budget(StrEnum):
    """What is limited."""

    SIZE = "size"
    METRIC = "metric"
    LATENCY = "latency"
    INTEGER = "integer"


class Judgement(BaseModel):
    """One budget of one variant."""

    model_config = ConfigDict(frozen=True)

    budget: Budget
    measured: float | None
    limit: float | None
    """None: no limit was set."""
    kept: bool
    reason: str = ""
    """In words, where it was not kept."""


class VariantVerdict(BaseModel):
    """One variant, judged."""

    model_config = ConfigDict(frozen=True)

    target: Target
    accepted: bool
    judgements: tuple[Judgement, ...]
    reason: str = ""
    """Why it was rejected, numbers included; empty where it was accepted."""


def judge(
    variants: Variants, compression: Compression, metric: Metric
) -> tuple[VariantVerdict, ...]:
    """A verdict for each variant, in the order of ``compression.targets``."""
    by_target = {variant.target: variant for variant in variants.variants}
    return tuple(
        judge_variant(by_target[t], variants.baseline, compression.budgets_of(t), metric)
        for t in compression.targets
        if t in by_target
    )


def judge_variant(
    variant: MeasuredVariant, baseline: Measured | None, budgets: Budgets, metric: Metric
) -> VariantVerdict:
    """One variant against its budgets."""
    if variant.measured is None or baseline is None:
        reason = variant.refused or "there is no float TFLite model to compare with"
        return VariantVerdict(target=variant.target, accepted=False, judgements=(), reason=reason)
    judgements = tuple(_judge(variant, variant.measured, baseline, budgets, metric))
    reasons = [judgement.reason for judgement in judgements if not judgement.kept]
    return VariantVerdict(
        target=variant.target,
        accepted=not reasons,
        judgements=judgements,
        reason="; ".join(reasons),
    )


def _judge(
    variant: MeasuredVariant,
    ours: Measured,
    floats: Measured,
    budgets: Budgets,
    metric: Metric,
) -> Iterator[Judgement]:
    yield _at_most(
        Budget.SIZE,
        ours.size / floats.size,
        budgets.max_size_ratio,
        f"{ours.size:,} of {floats.size:,} bytes",
    )
    yield _at_most(
        Budget.METRIC,
        metric_drop(ours, floats, metric),
        budgets.max_metric_drop,
        f"{metric} {_shown(ours.scores.of(metric))}, float {_shown(floats.scores.of(metric))}",
    )
    mine, theirs = ours.latency(threads=1, rows=1), floats.latency(threads=1, rows=1)
    yield _at_most(
        Budget.LATENCY,
        mine.p50_ms / theirs.p50_ms,
        budgets.max_latency_ratio,
        f"{mine.p50_ms:.3g} ms, float {theirs.p50_ms:.3g} ms",
    )
    if variant.target.full_integer:
        yield _integer(variant, ours)


def metric_drop(ours: Measured, floats: Measured, metric: Metric) -> float | None:
    """How much worse than the float model, in the metric's own unit; negative where better."""
    mine, theirs = ours.scores.of(metric), floats.scores.of(metric)
    if mine is None or theirs is None:
        return None
    return theirs - mine if metric.higher_is_better else mine - theirs


def _at_most(budget: Budget, value: float | None, limit: float | None, shown: str) -> Judgement:
    if limit is None:
        return Judgement(budget=budget, measured=value, limit=None, kept=True)
    kept = value is not None and math.isfinite(value) and value <= limit + ROUNDING
    found = "not measured" if value is None else f"{value:.4g}"
    reason = "" if kept else f"{budget}: {found}, limit {limit:g} ({shown})"
    return Judgement(budget=budget, measured=value, limit=limit, kept=kept, reason=reason)


def _integer(variant: MeasuredVariant, ours: Measured) -> Judgement:
    fallen = [*ours.float_operators, *(variant.served.float_operators if variant.served else ())]
    reason = ""
    if fallen:
        reason = f"integer: {len(fallen)} operators in float, limit 0: {fallen[0]}"
    return Judgement(
        budget=Budget.INTEGER,
        measured=float(len(fallen)),
        limit=0.0,
        kept=not fallen,
        reason=reason,
    )


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.5g}"
