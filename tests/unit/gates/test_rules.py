"""Gate rules: where the limit lies, what passes, and what never does."""

from __future__ import annotations

import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.definition.gates import GateRule, Metric
from nightshift.evaluation.result import Evaluation, Group, Scores
from nightshift.gates.gate import may_pass
from nightshift.gates.rules import Bound, Judgement, Ruling, is_within, judge

number = st.floats(0, 1)
metric = st.sampled_from(Metric)
margin = st.floats(0, 0.5)
NAN = float("nan")


def _scores(value: float | None) -> Scores:
    return Scores.model_construct(auc=value, log_loss=value, accuracy=value)


def _group(
    candidate: float | None,
    champion: float | None = None,
    *,
    slice_: str | None = None,
    rows: int = 1000,
    positives: int = 300,
) -> Group:
    return Group.model_construct(
        slice=slice_,
        value="EWR" if slice_ else None,
        rows=rows,
        positives=positives,
        candidate=_scores(candidate),
        champion=None if champion is None else _scores(champion),
    )


def _evaluation(overall: Group, *slices: Group) -> Evaluation:
    return Evaluation.model_construct(
        pipeline="flights",
        night=date(2013, 8, 31),
        overall=overall,
        slices=slices,
        champion_version=3 if overall.champion else None,
        no_champion="" if overall.champion else "no version has been released yet",
    )


def _one(rule: GateRule, group: Group) -> Judgement:
    evaluation = _evaluation(group) if not rule.slice else _evaluation(_group(0.5), group)
    (judgement,) = judge([rule], evaluation)
    return judgement


def _ruling(rule: GateRule, candidate: float | None, champion: float | None = None) -> Ruling:
    return _one(rule, _group(candidate, champion)).ruling


@pytest.mark.parametrize(
    ("rule", "candidate", "ruling"),
    [
        (GateRule(metric=Metric.AUC, floor=0.6), 0.6, Ruling.PASSED),
        (GateRule(metric=Metric.AUC, floor=0.6), math.nextafter(0.6, 0), Ruling.FAILED),
        (GateRule(metric=Metric.LOG_LOSS, ceiling=0.5), 0.5, Ruling.PASSED),
        (GateRule(metric=Metric.LOG_LOSS, ceiling=0.5), math.nextafter(0.5, 1), Ruling.FAILED),
        (GateRule(metric=Metric.AUC, margin=0.25), 0.5, Ruling.PASSED),
        (GateRule(metric=Metric.AUC, margin=0.25), math.nextafter(0.5, 0), Ruling.FAILED),
        (GateRule(metric=Metric.LOG_LOSS, margin=0.25), 1.0, Ruling.PASSED),
        (GateRule(metric=Metric.LOG_LOSS, margin=0.25), math.nextafter(1.0, 2), Ruling.FAILED),
        (GateRule(metric=Metric.ACCURACY, margin=0.0), 0.75, Ruling.PASSED),
        (GateRule(metric=Metric.ACCURACY, margin=0.0), math.nextafter(0.75, 0), Ruling.FAILED),
    ],
)
def test_a_limit_met_exactly_passes_and_the_next_number_fails(
    rule: GateRule, candidate: float, ruling: Ruling
) -> None:
    assert _ruling(rule, candidate, champion=0.75) is ruling


@given(metric, number, number, number, st.data())
def test_a_better_candidate_never_turns_a_pass_into_a_fail(
    metric: Metric, candidate: float, other: float, champion: float, data: st.DataObject
) -> None:
    kind = "floor" if metric.higher_is_better else "ceiling"
    rule = GateRule(metric=metric, **{data.draw(st.sampled_from([kind, "margin"])): 0.3})
    worse, better = sorted([candidate, other], reverse=not metric.higher_is_better)
    if _ruling(rule, worse, champion) is Ruling.PASSED:
        assert _ruling(rule, better, champion) is Ruling.PASSED


@given(number, number, margin)
def test_a_margin_is_as_wide_whichever_way_is_better(
    candidate: float, champion: float, margin: float
) -> None:
    higher = GateRule(metric=Metric.AUC, margin=margin)
    lower = GateRule(metric=Metric.LOG_LOSS, margin=margin)
    assert _ruling(higher, candidate, champion) is _ruling(lower, -candidate, -champion)


@given(metric, number, margin)
def test_a_champion_would_pass_against_itself(metric: Metric, value: float, margin: float) -> None:
    assert _ruling(GateRule(metric=metric, margin=margin), value, value) is Ruling.PASSED


@pytest.mark.parametrize("bad", [None, NAN, math.inf, -math.inf])
@pytest.mark.parametrize("limit", ["floor", "ceiling", "margin"])
@pytest.mark.parametrize("metric", list(Metric))
def test_what_is_no_number_never_passes(bad: float | None, limit: str, metric: Metric) -> None:
    rule = GateRule(metric=metric, **{limit: 0.0})
    judgement = _one(rule, _group(bad, 0.5))
    assert judgement.ruling is Ruling.FAILED
    assert judgement.reason == "the metric has no value"


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
@pytest.mark.parametrize("metric", list(Metric))
def test_no_candidate_passes_against_a_champion_without_a_value(bad: float, metric: Metric) -> None:
    assert _ruling(GateRule(metric=metric, margin=0.1), 0.9, bad) is Ruling.FAILED


@given(st.floats(), st.floats(), st.sampled_from(Bound))
def test_within_means_a_plain_comparison_of_numbers(
    value: float, limit: float, bound: Bound
) -> None:
    plain = value >= limit if bound is Bound.AT_LEAST else value <= limit
    expected = plain and math.isfinite(value) and math.isfinite(limit)
    assert is_within(value, bound, limit) is expected


def test_without_a_champion_floors_decide_alone() -> None:
    rules = [GateRule(metric=Metric.AUC, floor=0.6), GateRule(metric=Metric.AUC, margin=0.0)]
    judgements = judge(rules, _evaluation(_group(0.7)))
    assert [j.ruling for j in judgements] == [Ruling.PASSED, Ruling.SKIPPED]
    assert judgements[1].reason == "no version has been released yet"
    assert may_pass(judgements)


def test_rules_that_were_all_skipped_pass_nothing() -> None:
    judgements = judge([GateRule(metric=Metric.AUC, margin=0.0)], _evaluation(_group(0.99)))
    assert not may_pass(judgements)


def test_one_failure_among_passes_fails() -> None:
    rules = [GateRule(metric=Metric.AUC, floor=0.6), GateRule(metric=Metric.AUC, floor=0.8)]
    assert not may_pass(judge(rules, _evaluation(_group(0.7))))


def test_a_slice_rule_judges_each_value_with_enough_rows() -> None:
    rule = GateRule(metric=Metric.AUC, floor=0.6, slice="origin", minimum_rows=200)
    slices = [
        _group(0.59, slice_="origin", rows=200),
        _group(0.10, slice_="origin", rows=199),
        _group(0.10, slice_="carrier"),
    ]
    judgements = judge([rule], _evaluation(_group(0.9), *slices))
    assert [j.ruling for j in judgements] == [Ruling.FAILED, Ruling.SKIPPED]
    assert judgements[1].reason == "199 rows, judged from 200 on"


def test_a_slice_with_one_label_has_no_ranking_to_judge() -> None:
    rule = GateRule(metric=Metric.AUC, floor=0.6, slice="origin")
    judgement = _one(rule, _group(None, slice_="origin", positives=0))
    assert (judgement.ruling, judgement.reason) == (Ruling.SKIPPED, "all rows have the same label")


def test_a_holdout_with_one_label_fails_a_rule_about_ranking() -> None:
    rule = GateRule(metric=Metric.AUC, floor=0.6)
    assert _one(rule, _group(None, positives=0)).ruling is Ruling.FAILED


def test_a_slice_that_was_not_evaluated_fails() -> None:
    rule = GateRule(metric=Metric.AUC, floor=0.6, slice="origin")
    (judgement,) = judge([rule], _evaluation(_group(0.9)))
    assert (judgement.ruling, judgement.reason) == (
        Ruling.FAILED,
        "the evaluation holds no such slice",
    )


def test_a_judgement_reads_as_a_sentence() -> None:
    rule = GateRule(metric=Metric.AUC, margin=0.02)
    assert str(_one(rule, _group(0.5, 0.7))) == (
        "auc no worse than champion by more than 0.02 [all rows, 1000 rows]: measured 0.5, "
        "limit >= 0.68: failed"
    )
