"""Gate rules: on which side of a limit an interval is, what passes, and what never does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.definition.gates import GateRule, Metric
from nightshift.evaluation.comparison import Comparison
from nightshift.evaluation.estimates import Bootstrapped, Estimate, Known
from nightshift.gates.result import verdict_of
from nightshift.gates.rules import Bound, Judgement, Limit, Ruling, judge, limit_of
from nightshift.gates.verdict import GateVerdict
from tests.unit.evaluation.tables import NO_CHAMPION, compare, table

NAN = float("nan")
number = st.floats(-1, 1)
spread = st.floats(0, 0.5)
confidence = st.floats(0.5, 0.999)
qualities = st.sampled_from([Metric.AUC, Metric.LOG_LOSS, Metric.ACCURACY, Metric.TPR_GAP])
ROWS = 1200


@dataclass(frozen=True)
class Fixed(Estimate):
    """An estimate with the same bounds at any confidence."""

    value: float
    low: float
    high: float
    method: str = "fixed"

    def interval(self, confidence: float) -> tuple[float, float]:
        return self.low, self.high


def _limit(metric: Metric, kind: str, value: float) -> Limit:
    slice_ = "sex" if metric.is_fairness else None
    fields: dict[str, Any] = {kind: value}
    return limit_of(GateRule(metric=metric, slice=slice_, **fields))


@pytest.mark.parametrize(
    ("low", "high", "ruling"),
    [
        (0.60, 0.70, Ruling.PASSED),
        (math.nextafter(0.60, 0), 0.70, Ruling.INCONCLUSIVE),
        (0.50, 0.60, Ruling.INCONCLUSIVE),
        (0.50, math.nextafter(0.60, 0), Ruling.FAILED),
    ],
)
def test_a_limit_met_exactly_is_on_the_good_side_and_the_next_number_is_not(
    low: float, high: float, ruling: Ruling
) -> None:
    middle = Fixed((low + high) / 2, low, high)
    assert _limit(Metric.AUC, "floor", 0.6).ruling(middle, 0.95, 0.95) is ruling
    mirrored = Fixed(-middle.value, -high, -low)
    assert _limit(Metric.LOG_LOSS, "ceiling", -0.6).ruling(mirrored, 0.95, 0.95) is ruling


@given(number, spread, st.floats(0, 0.5), confidence)
def test_a_margin_is_as_wide_whichever_way_is_better(
    difference: float, se: float, margin: float, sure: float
) -> None:
    higher = _limit(Metric.AUC, "margin", margin).ruling(Bootstrapped(difference, se), sure, sure)
    lower = _limit(Metric.LOG_LOSS, "margin", margin).ruling(
        Bootstrapped(-difference, se), sure, sure
    )
    assert higher is lower


@given(qualities, number, spread, confidence)
def test_an_estimate_never_passes_and_fails_at_once_and_more_confidence_decides_less(
    metric: Metric, value: float, se: float, sure: float
) -> None:
    limit = _limit(metric, "ceiling" if not metric.higher_is_better else "floor", 0.3)
    estimate = Bootstrapped(value, se)
    decided = limit.ruling(estimate, sure, sure)
    surer = limit.ruling(estimate, (1 + sure) / 2, (1 + sure) / 2)
    assert surer in (decided, Ruling.INCONCLUSIVE)


@given(number, spread, confidence, st.integers(1, 100))
def test_more_groups_never_turn_anything_into_a_failure_nor_take_a_pass_away(
    value: float, se: float, sure: float, groups: int
) -> None:
    limit, estimate = Limit(low=0.3), Bootstrapped(value, se)
    alone = limit.ruling(estimate, sure, sure)
    among = limit.ruling(estimate, sure, 1 - (1 - sure) / groups)
    assert among is alone or (alone, among) == (Ruling.FAILED, Ruling.INCONCLUSIVE)


@given(number, number, st.floats(0, 0.5))
def test_a_better_candidate_never_fares_worse(a: float, b: float, se: float) -> None:
    order = [Ruling.FAILED, Ruling.INCONCLUSIVE, Ruling.PASSED]
    worse, better = (Bootstrapped(v, se) for v in sorted([a, b]))
    limit = Limit(low=0.1)
    assert order.index(limit.ruling(worse, 0.95, 0.99)) <= order.index(
        limit.ruling(better, 0.95, 0.99)
    )


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
@pytest.mark.parametrize("limit", [Limit(low=-5.0), Limit(high=5.0), Limit(-5.0, 5.0)])
def test_what_is_no_number_never_passes(bad: float, limit: Limit) -> None:
    assert limit.ruling(Known(bad), 0.9, 0.9) is Ruling.INCONCLUSIVE
    assert limit.ruling(Bootstrapped(0.0, bad), 0.9, 0.9) is Ruling.INCONCLUSIVE


def test_the_ceiling_of_a_gap_is_about_its_size_on_either_side() -> None:
    limit = _limit(Metric.TPR_GAP, "ceiling", 0.1)
    for sign in (1, -1):
        assert limit.ruling(Known(sign * 0.1), 0.95, 0.95) is Ruling.PASSED
        assert limit.ruling(Known(sign * 0.11), 0.95, 0.95) is Ruling.FAILED


def _night(*, harm: float = 0.0, champion: bool = True, seed: int = 5) -> Comparison:
    """A useful champion; a candidate that is wrong about a share of rows of ``origin = LGA``."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, ROWS)
    origin = draw.choice(["EWR", "JFK", "LGA"], ROWS, p=[0.5, 0.3, 0.2])
    scores = np.clip(0.25 + 0.5 * labels + draw.normal(0, 0.15, ROWS), 0.01, 0.99)
    ours = np.clip(scores + draw.normal(0, 0.02, ROWS), 0.01, 0.99)
    harmed = (origin == "LGA") & (draw.random(ROWS) < harm)
    ours[harmed] = 1 - ours[harmed]
    predictions = table(labels, ours, scores if champion else None, origin=origin.tolist())
    return compare(predictions, min_slice_size=100)


def _judge(rule: GateRule, night: Comparison) -> tuple[Judgement, ...]:
    return judge([rule], night, {}, "" if night.has_champion else NO_CHAMPION)


def test_equal_models_pass_every_margin_and_a_harmed_slice_fails_by_name() -> None:
    rule = GateRule(metric=Metric.ACCURACY, margin=0.05, slice="origin")
    assert {j.ruling for j in _judge(rule, _night())} == {Ruling.PASSED}
    judged = _judge(rule, _night(harm=0.4))
    assert {j.value: j.ruling for j in judged} == {
        "EWR": Ruling.PASSED,
        "JFK": Ruling.PASSED,
        "LGA": Ruling.FAILED,
    }
    failed = next(j for j in judged if j.ruling is Ruling.FAILED)
    assert failed.high is not None
    assert failed.high < -0.05 == failed.limit
    assert failed.fail_confidence == pytest.approx(1 - 0.05 / 3)
    assert failed.method == "exact McNemar"


def test_a_small_harm_is_for_a_person() -> None:
    rule = GateRule(metric=Metric.ACCURACY, margin=0.05, slice="origin")
    judged = {j.value: j for j in _judge(rule, _night(harm=0.06))}
    assert judged["LGA"].ruling is Ruling.INCONCLUSIVE
    assert "origin = LGA" in str(judged["LGA"])
    assert "inconclusive" in str(judged["LGA"])


def test_without_a_champion_floors_decide_alone() -> None:
    night = _night(champion=False)
    rules = [GateRule(metric=Metric.AUC, floor=0.6), GateRule(metric=Metric.AUC, margin=0.0)]
    judgements = judge(rules, night, {}, NO_CHAMPION)
    assert [j.ruling for j in judgements] == [Ruling.PASSED, Ruling.SKIPPED]
    assert judgements[1].reason == NO_CHAMPION
    assert verdict_of(judgements) is GateVerdict.PASSED


def test_rules_that_were_all_skipped_pass_nothing() -> None:
    judgements = _judge(GateRule(metric=Metric.AUC, margin=0.0), _night(champion=False))
    assert verdict_of(judgements) is GateVerdict.INCONCLUSIVE


def test_the_worst_rule_decides_but_a_declared_exception_does_not() -> None:
    passes = GateRule(metric=Metric.AUC, floor=0.6)
    fails = GateRule(metric=Metric.AUC, floor=0.999)
    assert verdict_of(judge([passes, fails], _night(), {})) is GateVerdict.FAILED
    warns = fails.model_copy(update={"warn_only": True})
    judgements = judge([passes, warns], _night(), {})
    assert verdict_of(judgements) is GateVerdict.PASSED
    assert judgements[1].ruling is Ruling.FAILED  # shown as it is


def test_a_small_group_is_listed_and_not_judged() -> None:
    rule = GateRule(metric=Metric.AUC, floor=0.6, slice="origin", minimum_rows=300)
    judged = {j.value: j for j in _judge(rule, _night())}
    assert judged["LGA"].ruling is Ruling.SKIPPED
    assert "rows, judged from 300 on" in judged["LGA"].reason
    assert judged["JFK"].fail_confidence == pytest.approx(1 - 0.05 / 2)  # two were looked at


def test_a_holdout_with_one_label_never_passes_a_rule_about_ranking() -> None:
    night = compare(table([1] * 50, np.linspace(0.1, 0.9, 50)))
    (judgement,) = _judge(GateRule(metric=Metric.AUC, floor=0.6), night)
    assert judgement.ruling is Ruling.INCONCLUSIVE
    assert judgement.reason == "the metric has no value in these rows"


def test_facts_of_the_night_are_judged_as_they_are() -> None:
    rules = [
        GateRule(metric=Metric.HOLDOUT_ROWS, floor=1000),
        GateRule(metric=Metric.HOLDOUT_DRIFT, ceiling=0.1),
        GateRule(metric=Metric.DATA_WARNINGS, ceiling=3),
        GateRule(metric=Metric.CHAMPION_AGE_DAYS, ceiling=30),
    ]
    known = {Metric.HOLDOUT_ROWS: 1000.0, Metric.HOLDOUT_DRIFT: 0.2}
    judged = judge(rules, _night(), known, "")
    assert [j.ruling for j in judged] == [
        *(Ruling.PASSED, Ruling.FAILED, Ruling.INCONCLUSIVE, Ruling.SKIPPED)
    ]
    assert str(judged[1]) == (
        "holdout_drift <= 0.1 [the night]: measured 0.2, limit <= 0.1: failed"
    )


def test_the_same_night_is_judged_the_same_whatever_was_judged_before() -> None:
    rules = [
        GateRule(metric=Metric.AUC, margin=0.01),
        GateRule(metric=Metric.LOG_LOSS, margin=0.01, slice="origin"),
    ]
    forward = judge(rules, _night(harm=0.1), {})
    backward = judge(rules[::-1], _night(harm=0.1), {})
    assert set(map(str, forward)) == set(map(str, backward))


def test_flips_need_a_champion_and_have_exact_bounds() -> None:
    rule = GateRule(metric=Metric.FLIP_RATE, ceiling=0.1)
    (judgement,) = _judge(rule, _night())
    assert (judgement.ruling, judgement.bound) == (Ruling.PASSED, Bound.AT_MOST)
    (judgement,) = _judge(rule, _night(champion=False))
    assert (judgement.ruling, judgement.reason) == (Ruling.SKIPPED, NO_CHAMPION)
