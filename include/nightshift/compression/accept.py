"""Step ``budgets``: which variants keep their budgets? One that does not is rejected alone.

Never fails for a rejected variant: the float model goes on. Files of the artifact:
``budgets.json``, ``report.html``.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from nightshift.compression.budgets import VariantVerdict, judge, metric_drop
from nightshift.compression.report import render
from nightshift.compression.result import VARIANTS_FILE, Measured, Variants
from nightshift.definition.compression import Compression, Target
from nightshift.definition.gates import GateRule, Metric, main_metric
from nightshift.steps.contract import StepContext, StepOutcome

BUDGETS_FILE = "budgets.json"
REPORT_FILE = "report.html"


class BudgetsResult(BaseModel):
    """The content of ``budgets.json``."""

    model_config = ConfigDict(frozen=True)

    metric: Metric
    """The pipeline's main metric."""
    verdicts: tuple[VariantVerdict, ...]

    def of(self, target: Target) -> VariantVerdict | None:
        """One target's verdict."""
        return next((verdict for verdict in self.verdicts if verdict.target is target), None)


def run(context: StepContext) -> StepOutcome:
    """Judge every variant and show all of them."""
    request = context.request
    compression = request.section("compression", Compression)
    rules = request.section("gates", tuple[GateRule, ...])
    measured = context.store.read(context.input("evaluate_variants"), VARIANTS_FILE)
    variants = Variants.model_validate_json(measured)
    metric = main_metric(rules)
    result = BudgetsResult(metric=metric, verdicts=judge(variants, compression, metric))
    for verdict in result.verdicts:
        if verdict.accepted:
            context.log.info("%s: accepted", verdict.target)
        else:
            context.log.warning("%s: rejected: %s", verdict.target, verdict.reason)
    (context.output / BUDGETS_FILE).write_text(result.model_dump_json(indent=1), encoding="utf-8")
    page = render(variants, result.verdicts, metric, compression.edge)
    (context.output / REPORT_FILE).write_text(page, encoding="utf-8")
    return StepOutcome(
        metrics=_metrics(variants, result),
        facts=_facts(result),
        reports={"Compression report": REPORT_FILE},
    )


def _metrics(variants: Variants, result: BudgetsResult) -> dict[str, float]:
    found = {f"{v.target}.accepted": float(v.accepted) for v in result.verdicts}
    for variant in variants.variants:
        if variant.measured and variants.baseline:
            ratios = _ratios(variant.measured, variants.baseline, result.metric)
            found |= {f"{variant.target}.{name}": value for name, value in ratios.items()}
    return found


def _ratios(ours: Measured, floats: Measured, metric: Metric) -> dict[str, float]:
    mine, theirs = ours.latency(threads=1, rows=1), floats.latency(threads=1, rows=1)
    drop = metric_drop(ours, floats, metric)
    return {
        "size_ratio": ours.size / floats.size,
        "latency_ratio": mine.p50_ms / theirs.p50_ms,
        **({} if drop is None else {f"{metric}_drop": drop}),
    }


def _facts(result: BudgetsResult) -> dict[str, Any]:
    rejected = {str(v.target): v.reason for v in result.verdicts if not v.accepted}
    return {
        "accepted": [str(v.target) for v in result.verdicts if v.accepted],
        "rejected": rejected,
        "tags": {f"nightshift.rejected.{target}": reason for target, reason in rejected.items()},
    }
