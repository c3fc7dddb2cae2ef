"""Budgets: each limit where it lies, each variant by itself, nothing unmeasured passes."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.compression.budgets import Budget, VariantVerdict, judge, judge_variant
from nightshift.compression.processor import Processor
from nightshift.compression.report import render
from nightshift.compression.result import (
    FloatOperator,
    Latency,
    Measured,
    MeasuredVariant,
    Variants,
)
from nightshift.definition.compression import Budgets, Compression, Target
from nightshift.definition.gates import Metric
from nightshift.evaluation.result import Scores

FALLEN = FloatOperator(name="SIN", number=3, tensors=("x: FLOAT32",))


def measured(
    size: int = 1000,
    accuracy: float | None = 0.9,
    p50: float = 2.0,
    fallen: tuple[FloatOperator, ...] = (),
    loss: float | None = 0.3,
) -> Measured:
    return Measured(
        size=size,
        gzip_size=size,
        scores=Scores(auc=None, log_loss=loss, accuracy=accuracy),
        disagreement=0.0,
        latencies=(Latency(threads=1, rows=1, p50_ms=p50, p99_ms=p50, rounds=10),),
        peak_bytes=1,
        operators={},
        float_operators=fallen,
    )


FLOAT = measured()


def verdict(
    ours: Measured | None,
    target: Target = Target.FLOAT16,
    metric: Metric = Metric.ACCURACY,
    **limits: Any,
) -> VariantVerdict:
    variant = MeasuredVariant(target=target, measured=ours, refused="" if ours else "no such op")
    return judge_variant(variant, FLOAT, Budgets(**limits), metric)


@given(size=st.integers(1, 5000), limit=st.floats(0.01, 5))
def test_size_is_judged_by_the_ratio_of_bytes(size: int, limit: float) -> None:
    accepted = verdict(measured(size=size), max_size_ratio=limit).accepted
    assert accepted == (size / 1000 <= limit + 1e-9)


@given(p50=st.floats(0.01, 50), limit=st.floats(0.01, 20))
def test_time_is_judged_by_the_ratio_of_medians(p50: float, limit: float) -> None:
    accepted = verdict(measured(p50=p50), max_latency_ratio=limit).accepted
    assert accepted == (p50 / 2.0 <= limit + 1e-9)


@given(accuracy=st.floats(0, 1), limit=st.floats(0, 0.5))
def test_a_metric_is_judged_by_what_was_lost(accuracy: float, limit: float) -> None:
    accepted = verdict(measured(accuracy=accuracy), max_metric_drop=limit).accepted
    assert accepted == (0.9 - accuracy <= limit + 1e-9)


@given(loss=st.floats(0, 5), limit=st.floats(0, 1))
def test_of_a_metric_where_less_is_better_more_is_lost(loss: float, limit: float) -> None:
    ours = verdict(measured(loss=loss), metric=Metric.LOG_LOSS, max_metric_drop=limit)
    assert ours.accepted == (loss - 0.3 <= limit + 1e-9)


@given(
    size=st.integers(1, 5000),
    accuracy=st.floats(0, 1),
    p50=st.floats(0.01, 50),
    limits=st.fixed_dictionaries(
        {
            "max_size_ratio": st.none() | st.floats(0.01, 5),
            "max_metric_drop": st.none() | st.floats(0, 1),
            "max_latency_ratio": st.none() | st.floats(0.01, 20),
        }
    ),
)
def test_accepted_is_what_keeps_every_budget_and_a_rejection_names_each_one_broken(
    size: int, accuracy: float, p50: float, limits: dict[str, Any]
) -> None:
    found = verdict(measured(size, accuracy, p50), **limits)
    broken = [j.budget for j in found.judgements if not j.kept]
    assert found.accepted == (not broken) == (not found.reason)
    assert all(f"{budget}: " in found.reason for budget in broken)
    for judgement in found.judgements:
        if judgement.limit is None:
            assert judgement.kept


@given(limit=st.floats(0.001, 5))
def test_a_limit_that_is_met_exactly_is_kept(limit: float) -> None:
    assert verdict(measured(p50=2.0 * limit), max_latency_ratio=limit).accepted


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_no_number_never_passes(value: float | None) -> None:
    ours = measured().model_copy(update={"scores": Scores(auc=None, log_loss=0.3, accuracy=value)})
    assert not verdict(ours, max_metric_drop=0.1).accepted


def test_a_float_operator_rejects_only_what_claims_full_integer() -> None:
    ours = measured(fallen=(FALLEN,))
    assert verdict(ours, Target.DYNAMIC).accepted
    rejected = verdict(ours, Target.INT8)
    assert not rejected.accepted
    assert rejected.reason == (
        "integer: 1 operators in float, limit 0: SIN (operator 3: x: FLOAT32)"
    )


def test_a_variant_that_was_not_made_is_rejected_with_the_converters_words() -> None:
    rejected = verdict(None)
    assert (rejected.accepted, rejected.reason) == (False, "no such op")


def test_without_budgets_everything_that_was_made_is_accepted() -> None:
    assert verdict(measured(size=10**9, accuracy=0.0, p50=1e9)).accepted


BAD = {
    Budget.SIZE: (measured(size=900), {"max_size_ratio": 0.5}),
    Budget.METRIC: (measured(accuracy=0.8), {"max_metric_drop": 0.005}),
    Budget.LATENCY: (measured(p50=9.0), {"max_latency_ratio": 1.5}),
}


@pytest.mark.parametrize("budget", BAD)
def test_a_variant_that_breaks_one_budget_is_rejected_alone_with_its_numbers(
    budget: Budget,
) -> None:
    bad, limits = BAD[budget]
    compression = Compression(
        targets=(Target.FLOAT16, Target.DYNAMIC),
        budgets=Budgets(**limits),
    )
    variants = Variants(
        pipeline="fashion",
        night=date(2024, 1, 1),
        rows=10,
        processor=Processor(name="a processor", cores=2, int8_dot_products=()),
        baseline=FLOAT,
        variants=(
            MeasuredVariant(target=Target.DYNAMIC, measured=bad),
            MeasuredVariant(target=Target.FLOAT16, measured=measured(size=400)),
        ),
    )
    good, rejected = judge(variants, compression, Metric.ACCURACY)
    assert (good.target, good.accepted) == (Target.FLOAT16, True)
    assert not rejected.accepted
    assert rejected.reason.startswith(f"{budget}: ")
    kept, lost = (
        render(variants, (good, rejected), Metric.ACCURACY, edge)
        for edge in (Target.FLOAT16, Target.DYNAMIC)
    )
    assert "For the edge: float16." in kept
    assert "For the edge: nothing, for dynamic is rejected." in lost
    assert f"limit {next(iter(limits.values())):g}" in rejected.reason
