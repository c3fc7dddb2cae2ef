"""Step ``statistics``: the window's TFDV statistics, held to the schema, and its drift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.data.pinned import PinnedFile, Snapshot, Split
from nightshift.data.reader import download, read_snapshot, read_table
from nightshift.definition.model import Dataset, Feature, Label
from nightshift.errors import DigestMismatchError
from nightshift.steps.contract import StepContext, StepOutcome, StepRequest
from nightshift.validation import beam
from nightshift.validation.findings import (
    Finding,
    Severity,
    as_json,
    by_severity,
    stopped_by,
    texts,
)
from nightshift.validation.lean import import_lean

if TYPE_CHECKING:
    import pyarrow as pa
    from tensorflow_metadata.proto.v0 import schema_pb2

    from nightshift.validation.profile import Statistics
    from nightshift.validation.usual import Unusual

STATISTICS_FILE = "{split}.binpb"
ANOMALIES_FILE = "anomalies.json"
REPORT_FILE = "report.html"

_Files = list[tuple[PinnedFile, Path]]


@dataclass(frozen=True)
class Profiled:
    """Everything computed about the window.

    Attributes:
        train: TFDV statistics of the rows to train on.
        holdout: Of the rows held out.
        newest: Of the night's own day, which is part of the holdout.
        findings: What the days broke, each judged by itself.
        unusual: What the newest day differs in from the others.
    """

    train: Statistics
    holdout: Statistics
    newest: Statistics
    findings: list[Finding]
    unusual: Unusual


def run(context: StepContext) -> StepOutcome:
    """Compute, judge, report.

    Raises:
        BadDataError: The window, its holdout or one of its days breaks the schema.
        BadDefinitionError: ``schema.pbtxt`` is wrong.
    """
    request = context.request
    snapshot = read_snapshot(context.store, context.input("snapshot"))
    if max(snapshot.rows(split) for split in Split) <= beam.ROWS_IN_MEMORY:
        import_lean()
    schema, columns = _schema(request)
    label = request.section("label", Label).column
    train = download(snapshot, Split.TRAIN, context.work / "train")
    holdout = download(snapshot, Split.HOLDOUT, context.work / "holdout")
    profiled = _profile(snapshot, train, holdout, _Reading(schema, columns, label, context.work))
    previous = _champion_statistics(context, snapshot)
    findings, metrics = judge_all(request, schema, profiled, previous)
    _write(context, snapshot, profiled, findings, metrics)
    if any(f.severity is Severity.ERROR for f in findings):
        context.failure_report = REPORT_FILE
        raise stopped_by(request.pipeline, request.night, findings)
    warnings = texts(findings, Severity.WARNING)
    for warning in warnings:
        context.log.warning("%s", warning)
    return StepOutcome(
        metrics={**metrics, "warnings": float(len(warnings))},
        facts={"warnings": warnings},
        reports={"Data report": REPORT_FILE},
    )


def judge_all(
    request: StepRequest,
    schema: schema_pb2.Schema,
    profiled: Profiled,
    previous: Statistics | None,
) -> tuple[list[Finding], dict[str, float]]:
    """All findings, errors first, and the distances as metrics.

    A day's own finding names the file, so TFDV's on the same column is told only where no day
    has one: it then means the type, the shape, or something that no single day breaks.
    """
    from nightshift.validation.anomalies import SERVING, judge, only

    features = frozenset(request.section("features", dict[str, Feature]))
    whole = judge(profiled.train, schema, "train", previous=previous, holdout=profiled.holdout)
    verdicts = [
        whole,
        judge(profiled.holdout, schema, "holdout"),
        judge(profiled.newest, schema, f"{request.night} by itself"),
        judge(
            only(profiled.holdout, features),
            schema,
            "a request (SERVING)",
            environment=SERVING,
        ),
    ]
    known = {f.column for f in profiled.findings if f.severity is Severity.ERROR}
    others = [f for v in verdicts for f in v.findings if f.column not in known or _is_drift(f)]
    unusual = [f for f in profiled.unusual.findings if f.column not in known]
    metrics = {f"drift/{column}": value for column, value in sorted(whole.drift.items())}
    metrics |= {f"holdout_drift/{c}": value for c, value in sorted(whole.skew.items())}
    metrics |= {f"day_drift/{c}": v for c, v in sorted(profiled.unusual.distances.items())}
    return by_severity([*profiled.findings, *_distinct(others), *unusual]), metrics


def _is_drift(finding: Finding) -> bool:
    return finding.severity is Severity.WARNING


def _distinct(findings: Sequence[Finding]) -> list[Finding]:
    """One finding per column and rule: the widest rows first."""
    first: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        first.setdefault((finding.column, finding.rule), finding)
    return list(first.values())


def _schema(request: StepRequest) -> tuple[schema_pb2.Schema, list[str]]:
    """The schema, and the columns it describes apart from the date, which only says where a row
    belongs."""
    from nightshift.validation.schema import read_schema

    label = request.section("label", Label)
    dates = request.section("dataset", Dataset).date_column
    features = request.section("features", dict[str, Feature])
    slices = request.section("sliced", tuple[str, ...])
    schema = read_schema(request.folder, sorted({*features, label.column, *slices}))
    return schema, [f.name for f in schema.feature if f.name != dates]


@dataclass(frozen=True)
class _Reading:
    schema: schema_pb2.Schema
    columns: Sequence[str]
    label: str
    work: Path


def _profile(snapshot: Snapshot, train: _Files, holdout: _Files, how: _Reading) -> Profiled:
    from nightshift.validation import profile
    from nightshift.validation.daily import DailyCheck
    from nightshift.validation.day_sample import DaySample
    from nightshift.validation.images import lengths_of_images
    from nightshift.validation.repeats import Repeats
    from nightshift.validation.schema import limits_of
    from nightshift.validation.usual import judge_newest

    schema, columns = how.schema, how.columns
    daily = DailyCheck([limit for limit in limits_of(schema) if limit.column in columns])
    sample, repeats = DaySample(len(snapshot.files)), Repeats()
    newest = [f for f in holdout if f[0].date == snapshot.night]

    def counted(files: _Files) -> Iterator[pa.Table]:
        for file in files:
            table = read_table([file], columns)
            sample.add(file[0], table)
            repeats.add(file[0], table)
            table = lengths_of_images(table)
            daily.add(file[0], table)
            yield table

    def statistics(files: _Files, split: Split) -> Statistics:
        if snapshot.rows(split) <= beam.ROWS_IN_MEMORY:
            return profile.statistics_of(counted(files), schema)
        for _ in counted(files):
            pass
        return beam.statistics_with_beam(files, columns, schema, how.work)

    return Profiled(
        train=statistics(train, Split.TRAIN),
        holdout=statistics(holdout, Split.HOLDOUT),
        newest=profile.statistics_of((read_table([f], columns) for f in newest), schema),
        findings=[*repeats.findings(), *daily.findings()],
        unusual=judge_newest(sample, how.label),
    )


def _champion_statistics(context: StepContext, snapshot: Snapshot) -> Statistics | None:
    """Statistics of the rows that the champion was trained on; None where there are none."""
    from tensorflow_metadata.proto.v0 import statistics_pb2

    champion = snapshot.baseline.champion
    reference = champion and champion.lineage.get("statistics")
    if not reference:
        return None
    try:
        name = STATISTICS_FILE.format(split=Split.TRAIN)
        body = context.store.read(context.store.open(reference), name)
    except DigestMismatchError as error:
        context.log.warning(
            "Drift is not measured, for the champion's statistics are gone: %s", error
        )
        return None
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(body)


def _write(
    context: StepContext,
    snapshot: Snapshot,
    profiled: Profiled,
    findings: Sequence[Finding],
    metrics: dict[str, float],
) -> None:
    from nightshift.validation.report import data_report

    for split, statistics in (
        (Split.TRAIN, profiled.train),
        (Split.HOLDOUT, profiled.holdout),
    ):
        path = context.output / STATISTICS_FILE.format(split=split)
        path.write_bytes(statistics.SerializeToString(deterministic=True))
    (context.output / ANOMALIES_FILE).write_bytes(as_json(findings))
    parts = {"train": profiled.train, "holdout": profiled.holdout}
    parts[f"{snapshot.night} by itself"] = profiled.newest
    page = data_report(snapshot, parts, findings, metrics)
    (context.output / REPORT_FILE).write_text(page, encoding="utf-8")
