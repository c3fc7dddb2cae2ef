"""Step ``gate``: may this candidate be released?

Files of the artifact: ``gate.json``, ``report.html``. A failed gate commits nothing; its report is
published all the same.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from nightshift.definition.model import GateRule
from nightshift.errors import GateFailedError
from nightshift.evaluation.result import METRICS_FILE, Evaluation
from nightshift.gates.report import render
from nightshift.gates.rules import Judgement, Ruling, judge
from nightshift.steps.contract import StepContext, StepOutcome

GATE_FILE = "gate.json"
REPORT_FILE = "report.html"


class GateResult(BaseModel):
    """The content of ``gate.json``."""

    model_config = ConfigDict(frozen=True)

    passed: bool
    champion_version: int | None
    judgements: tuple[Judgement, ...]


def run(context: StepContext) -> StepOutcome:
    """Judge every rule.

    Raises:
        GateFailedError: A rule failed, or none could be judged; facts carry every rule.
    """
    rules = context.request.section("gates", tuple[GateRule, ...])
    evaluation = Evaluation.model_validate_json(
        context.store.read(context.input("evaluate"), METRICS_FILE)
    )
    judgements = judge(rules, evaluation)
    for judgement in judgements:
        context.log.info("%s", judgement)
    result = GateResult(
        passed=may_pass(judgements),
        champion_version=evaluation.champion_version,
        judgements=judgements,
    )
    (context.output / GATE_FILE).write_text(result.model_dump_json(indent=1), encoding="utf-8")
    page = render(evaluation, judgements, passed=result.passed)
    (context.output / REPORT_FILE).write_text(page, encoding="utf-8")
    if not result.passed:
        context.failure_report = REPORT_FILE
        raise _failure(evaluation, judgements)
    return _outcome(evaluation, judgements)


def may_pass(judgements: tuple[Judgement, ...]) -> bool:
    """Whether no rule failed and at least one was truly judged."""
    rulings = {judgement.ruling for judgement in judgements}
    return Ruling.FAILED not in rulings and Ruling.PASSED in rulings


def _failure(evaluation: Evaluation, judgements: tuple[Judgement, ...]) -> GateFailedError:
    failed = [j for j in judgements if j.ruling is Ruling.FAILED]
    where = f"{evaluation.pipeline}, night of {evaluation.night}"
    stays = (
        f"Champion version {evaluation.champion_version} goes on serving."
        if evaluation.champion_version is not None
        else "What serves now goes on serving."
    )
    if failed:
        lines = [f"  {judgement}" for judgement in failed]
        what = f"{len(failed)} of {len(judgements)} gate rules failed:\n" + "\n".join(lines)
    else:
        lines = [f"  {judgement}" for judgement in judgements]
        what = "not one gate rule could be judged, so none was passed:\n" + "\n".join(lines)
    return GateFailedError(f"{where}: {what}\n{stays}", **_facts(judgements, "failed"))


def _outcome(evaluation: Evaluation, judgements: tuple[Judgement, ...]) -> StepOutcome:
    overall = evaluation.overall
    metrics = overall.candidate.model_dump()
    if overall.champion:
        metrics |= {f"champion_{name}": v for name, v in overall.champion.model_dump().items()}
    return StepOutcome(
        metrics={name: value for name, value in metrics.items() if value is not None},
        facts={
            **_facts(judgements, "passed"),
            "champion_version": evaluation.champion_version,
        },
        reports={"Gate report": REPORT_FILE},
    )


def _facts(judgements: tuple[Judgement, ...], verdict: str) -> dict[str, object]:
    return {"verdict": verdict, "rules": [j.model_dump(mode="json") for j in judgements]}
