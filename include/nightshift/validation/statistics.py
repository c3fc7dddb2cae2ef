"""Step ``statistics``: the window's TFDV statistics, held to the schema, and its drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightshift.data.pinned import Split
from nightshift.data.reader import read_snapshot
from nightshift.definition.load import load_pipeline
from nightshift.definition.model import Dataset, Feature, Label
from nightshift.definition.validation import Validation
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepContext, StepOutcome, StepRequest
from nightshift.steps.plan import plan_step
from nightshift.validation import beam, history
from nightshift.validation.champion_data import (
    STATISTICS_FILE,
    read_champion_data,
)
from nightshift.validation.findings import (
    Severity,
    as_json,
    stopped_by,
    texts,
)
from nightshift.validation.lean import import_lean

if TYPE_CHECKING:
    from nightshift.validation.profiling import Reading
    from nightshift.validation.report import ReportData

ANOMALIES_FILE = "anomalies.json"
REPORT_FILE = "report.html"


def run(context: StepContext) -> StepOutcome:
    """Compute, judge, report.

    Raises:
        BadDataError: The window, its holdout or one of its days breaks the schema, or the newest
            day is another day's or far from what is usual.
        BadDefinitionError: ``schema.pbtxt`` is wrong.
    """
    request = context.request
    snapshot = read_snapshot(context.store, context.input("snapshot"))
    if max(snapshot.rows(split) for split in Split) <= beam.ROWS_IN_MEMORY:
        import_lean()
    from nightshift.validation.judging import judge_all
    from nightshift.validation.profiling import profile_window
    from nightshift.validation.report import ReportData

    validation = request.section("validation", Validation)
    reading = _reading(context, validation)
    profiled = profile_window(snapshot, reading)
    champion = read_champion_data(context, snapshot)
    stop = validation.stop_unusual
    judgement = judge_all(request.night, reading, profiled, champion, stop_unusual=stop)
    _write(
        context,
        ReportData(
            snapshot=snapshot,
            schema=reading.schema,
            profiled=profiled,
            released=champion.train,
            judgement=judgement,
            history=history.continued(champion.history, request.night, judgement.distances),
            expectations_page=_expectations_page(request),
        ),
    )
    if any(f.severity is Severity.ERROR for f in judgement.findings):
        context.failure_report = REPORT_FILE
        raise stopped_by(request.pipeline, request.night, judgement.findings)
    warnings = texts(judgement.findings, Severity.WARNING)
    for warning in warnings:
        context.log.warning("%s", warning)
    return StepOutcome(
        metrics={**judgement.distances, "warnings": float(len(warnings))},
        facts={"warnings": warnings},
        reports={"Data report": REPORT_FILE},
    )


def _reading(context: StepContext, validation: Validation) -> Reading:
    """The schema, and the columns it describes apart from the date, which only says where a row
    belongs."""
    from nightshift.validation.profiling import Reading
    from nightshift.validation.schema import read_schema

    request = context.request
    label = request.section("label", Label).column
    dates = request.section("dataset", Dataset).date_column
    features = request.section("features", dict[str, Feature])
    slices = (*request.section("sliced", tuple[str, ...]), *validation.slices)
    schema = read_schema(request.folder, sorted({*features, label, *slices}))
    return Reading(
        schema=schema,
        columns=[f.name for f in schema.feature if f.name != dates],
        features=sorted(features),
        logged=sorted({*features} - request.section("left_out", frozenset[str])),
        label=label,
        slices=validation.slices,
        work=context.work,
    )


def _write(context: StepContext, data: ReportData) -> None:
    from nightshift.validation.report import data_report

    for split, statistics in (
        (Split.TRAIN, data.profiled.train),
        (Split.HOLDOUT, data.profiled.holdout),
    ):
        path = context.output / STATISTICS_FILE.format(split=split)
        path.write_bytes(statistics.SerializeToString(deterministic=True))
    (context.output / ANOMALIES_FILE).write_bytes(as_json(data.judgement.findings))
    (context.output / history.HISTORY_FILE).write_bytes(history.as_json(data.history))
    (context.output / REPORT_FILE).write_text(data_report(data), encoding="utf-8")


def _expectations_page(request: StepRequest) -> str:
    """Where the expectations' artifact is shown, from where this step's report is shown.

    That step runs beside this one; its key follows from the same snapshot and the same folder.
    """
    definition = load_pipeline(request.folder.name)
    beside = plan_step(
        STEPS["expectations"], definition, request.night, {"snapshot": request.inputs["snapshot"]}
    )
    # Shown at <prefix>/objects/<pipeline>/artifacts/statistics/<key>/<attempt>/report.html.
    return f"../../../../../../artifacts/{request.pipeline}/artifacts/expectations/{beside.key}"
