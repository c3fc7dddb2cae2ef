"""Step ``gate``: may this candidate be released?

Files of the artifact: ``gate.json``, ``report.html``. It is committed whatever the verdict: a
failed night must be found, and explained, years later. What follows from the verdict is the
caller's: red, a question to a person, or registration.
"""

from __future__ import annotations

from nightshift.definition.gates import GateRule, Measuring
from nightshift.definition.model import Label
from nightshift.definition.slicing import Slicing, columns_of
from nightshift.evaluation.comparison import Comparison
from nightshift.evaluation.predictions import PREDICTIONS_FILE, Predictions
from nightshift.evaluation.result import METRICS_FILE, Evaluation
from nightshift.gates.facts import facts_of
from nightshift.gates.report import render
from nightshift.gates.result import GATE_FILE, GateResult, verdict_of
from nightshift.gates.rules import judge, judge_operators
from nightshift.steps.contract import StepContext, StepOutcome

REPORT_FILE = "report.html"


def run(context: StepContext) -> StepOutcome:
    """Judge every rule."""
    evaluation = Evaluation.model_validate_json(
        context.store.read(context.input("evaluate"), METRICS_FILE)
    )
    known = facts_of(context, evaluation)
    rules = context.request.section("gates", tuple[GateRule, ...])
    judgements = (
        *judge(rules, _comparison(context), known.numbers, evaluation.no_champion),
        *judge_operators(known.forbidden),
    )
    for judgement in judgements:
        context.log.info("%s", judgement)
    result = GateResult(
        pipeline=evaluation.pipeline,
        night=evaluation.night,
        verdict=verdict_of(judgements),
        champion_version=evaluation.champion_version,
        no_champion=evaluation.no_champion,
        judgements=judgements,
    )
    context.log.info("%s", result.message)
    (context.output / GATE_FILE).write_text(result.model_dump_json(indent=1), encoding="utf-8")
    page = render(evaluation, result, known)
    (context.output / REPORT_FILE).write_text(page, encoding="utf-8")
    return _outcome(evaluation, result)


def _comparison(context: StepContext) -> Comparison:
    request = context.request
    slicings = (
        *request.section("slices", tuple[Slicing, ...]),
        *request.section("sensitive", tuple[Slicing, ...]),
    )
    path = context.work / PREDICTIONS_FILE
    path.write_bytes(context.store.read(context.input("evaluate"), PREDICTIONS_FILE))
    classes = request.section("label", Label).classes
    predictions = Predictions.read(path, columns_of(slicings), classes)
    return Comparison(predictions, slicings, request.section("evaluation", Measuring))


def _outcome(evaluation: Evaluation, result: GateResult) -> StepOutcome:
    overall = evaluation.overall
    metrics = overall.candidate.model_dump()
    if overall.champion:
        metrics |= {f"champion_{name}": v for name, v in overall.champion.model_dump().items()}
    return StepOutcome(
        metrics={name: value for name, value in metrics.items() if value is not None},
        facts={
            "verdict": result.verdict,
            "message": result.message,
            "rules": [j.model_dump(mode="json") for j in result.judgements],
            "champion_version": evaluation.champion_version,
        },
        reports={"Gate report": REPORT_FILE},
    )
