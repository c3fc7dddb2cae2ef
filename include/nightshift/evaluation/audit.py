"""Step ``audit``: TensorFlow Model Analysis measures the night's predictions too, and must agree.

It reads the table of predictions and nothing else of a model: what is compared are two programs'
arithmetic and two programs' slices. Files of the artifact: ``audit.json``, ``report.html``.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from nightshift.definition.gates import Measuring
from nightshift.definition.model import Label
from nightshift.definition.slicing import Slicing, columns_of
from nightshift.errors import GateFailedError
from nightshift.evaluation.agreement import Pair, largest, pairs
from nightshift.evaluation.predictions import PREDICTIONS_FILE, Predictions
from nightshift.evaluation.result import METRICS_FILE, Evaluation
from nightshift.evaluation.tfma_table import by_name, table_of
from nightshift.reports.page import Section, Table, Text, Verdict, render_page
from nightshift.steps.contract import StepContext, StepOutcome
from nightshift.validation.lean import import_lean

AUDIT_FILE = "audit.json"
REPORT_FILE = "report.html"
_MOST_NAMED = 5


class Largest(BaseModel):
    """The worst pair of one metric, overall or in slices."""

    model_config = ConfigDict(frozen=True)

    compared: int
    """Values of models and groups."""
    worst: Pair
    difference: float | None
    """None where one side alone has a value."""
    limit: float | None


class Audit(BaseModel):
    """The content of ``audit.json``."""

    model_config = ConfigDict(frozen=True)

    tfma: str
    """TFMA's version."""
    largest: tuple[Largest, ...]
    disagreements: tuple[Pair, ...]


def run(context: StepContext) -> StepOutcome:
    """Measure by TFMA, compare, report.

    Raises:
        GateFailedError: The two disagree: neither may decide about a release.
    """
    request = context.request
    folder = context.fetch("evaluate")
    slicings = tuple(
        slicing
        for name in ("slices", "sensitive")
        for slicing in request.section(name, tuple[Slicing, ...])
    )
    audit = audited(
        Evaluation.model_validate_json((folder / METRICS_FILE).read_text(encoding="utf-8")),
        folder / PREDICTIONS_FILE,
        slicings,
        request.section("label", Label).classes,
        request.section("evaluation", Measuring),
    )
    (context.output / AUDIT_FILE).write_text(audit.model_dump_json(indent=1), encoding="utf-8")
    where = f"{request.pipeline}, night of {request.night}"
    (context.output / REPORT_FILE).write_text(_page(where, audit), encoding="utf-8")
    for line in audit.largest:
        context.log.info("%s: %s, limit %s", line.worst.title, line.difference, line.limit)
    if audit.disagreements:
        context.failure_report = REPORT_FILE
        raise _failure(where, audit)
    compared = sum(line.compared for line in audit.largest)
    return StepOutcome(metrics={"compared": compared}, reports={"Audit report": REPORT_FILE})


def audited(
    evaluation: Evaluation,
    table: Path,
    slicings: Sequence[Slicing],
    classes: tuple[str, ...],
    measuring: Measuring,
) -> Audit:
    """Compare an evaluation with what TFMA measures of its table."""
    import_lean(keep=("tf_keras",))
    from nightshift.evaluation import tfma_metrics

    predictions = Predictions.read(table, columns_of(tuple(slicings)), classes)
    theirs = tfma_metrics.measure(table_of(predictions, slicings, measuring))
    compared = list(pairs(evaluation, by_name(theirs, slicings)))
    return Audit(
        tfma=version("tensorflow-model-analysis"),
        largest=tuple(
            Largest(compared=n, worst=p, difference=_finite(p.difference), limit=p.limit)
            for (_, _), (n, p) in sorted(largest(compared).items())
        ),
        disagreements=tuple(pair for pair in compared if not pair.agrees),
    )


def _finite(difference: float) -> float | None:
    return None if difference == float("inf") else difference


def _failure(where: str, audit: Audit) -> GateFailedError:
    lines = "\n".join(
        f"- {pair.title}: {pair.ours} here, {pair.theirs} by TFMA; they may differ by {pair.limit}"
        for pair in audit.disagreements[:_MOST_NAMED]
    )
    more = len(audit.disagreements) - _MOST_NAMED
    return GateFailedError(
        f"{where}: {len(audit.disagreements)} metrics disagree with TFMA {audit.tfma} on the same "
        f"predictions:\n{lines}\n{f'and {more} more' if more > 0 else ''}".rstrip()
        + "\nOne of the two is wrong, so neither may decide: the candidate is not released. The "
        "audit report lists every metric; evaluation.audit: false in pipeline.yaml goes without.",
        disagreements=[pair.model_dump() for pair in audit.disagreements],
    )


def _page(where: str, audit: Audit) -> str:
    verdict = Verdict.FAILED if audit.disagreements else Verdict.PASSED
    told = (
        f"Every metric that TensorFlow Model Analysis {audit.tfma} and Nightshift both compute "
        "from the night's predictions, with the largest difference found. Areas under curves are "
        "judged over all rows alone: TFMA interpolates them over 10,000 thresholds. Gaps are taken "
        "from TFMA's counts."
    )
    sections = [Section("Agreement", [Text(told), _differences(audit)])]
    if audit.disagreements:
        sections.insert(0, Section("Disagreements", [_disagreements(audit)]))
    return render_page("Audit", where, verdict, sections)


def _differences(audit: Audit) -> Table:
    columns = ("metric", "in", "values compared", "largest difference", "limit", "of", "group")
    rows = [
        (
            line.worst.metric,
            "slices" if line.worst.slice else "all rows",
            line.compared,
            "one side alone" if line.difference is None else f"{line.difference:.1e}",
            "shown only" if line.limit is None else f"{line.limit:.0e}",
            line.worst.model,
            f"{line.worst.slice} = {line.worst.value}" if line.worst.slice else "",
        )
        for line in audit.largest
    ]
    return Table(columns, rows)


def _disagreements(audit: Audit) -> Table:
    rows = [(pair.title, pair.ours, pair.theirs, pair.limit) for pair in audit.disagreements]
    return Table(("value", "here", "by TFMA", "may differ by"), rows)
