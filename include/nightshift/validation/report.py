"""The data report: what is wrong first, then how each column is spread, then every number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightshift.data.pinned import Snapshot, Split
from nightshift.reports.page import (
    Badge,
    Bar,
    Block,
    Cell,
    Figure,
    Link,
    Section,
    Table,
    Text,
    Verdict,
    render_page,
)
from nightshift.validation.distributions import distributions
from nightshift.validation.distributions_figure import distributions_figure
from nightshift.validation.drift_figure import drift_figure
from nightshift.validation.findings import Finding, Severity, worst_by_column
from nightshift.validation.history import NightDistances
from nightshift.validation.schema import distance_limits

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

    from nightshift.validation.judging import Judgement
    from nightshift.validation.profile import Statistics
    from nightshift.validation.profiling import Profiled

_BADGES = {
    Severity.ERROR: Badge(Verdict.FAILED, "error"),
    Severity.WARNING: Badge(Verdict.WARNING, "warning"),
    Severity.INFO: Badge(Verdict.INFO, "known"),
}
_TOP = 5


@dataclass(frozen=True)
class ReportData:
    """All that the page shows.

    Attributes:
        snapshot: What was read.
        schema: The curated schema, for its limits.
        profiled: The counts.
        released: The training rows of the last released model, if any.
        judgement: Findings and distances.
        history: Distances of released nights up to this one, oldest first.
        expectations_page: Address of the expectations' artifact, from where the report is shown.
    """

    snapshot: Snapshot
    schema: schema_pb2.Schema
    profiled: Profiled
    released: Statistics | None
    judgement: Judgement
    history: Sequence[NightDistances]
    expectations_page: str

    @property
    def parts(self) -> dict[str, Statistics]:
        """Each part of the rows by the name that it has on the page."""
        parts = {"train": self.profiled.train, "holdout": self.profiled.holdout}
        parts[f"{self.snapshot.night} by itself"] = self.profiled.newest
        if self.profiled.requests is not None:
            parts["logged requests"] = self.profiled.requests
        return parts


def data_report(data: ReportData) -> str:
    """The page as HTML."""
    findings, parts = data.judgement.findings, tuple(data.parts.items())
    sections = [
        Section("Findings", [_findings(findings), *_known(findings)]),
        Section("Distributions", _distributions(data)),
        Section("Distances", [Text(_against(data.snapshot)), _distances(data)]),
        Section("Distances over nights", _history(data)),
        *_slices(data),
        Section("Serving requests", [_requests(data)]),
        Section("Expectations", [_expectations(data)]),
        Section("Columns in numbers", [_numbers(parts), _categories(parts)], folded=True),
        Section("Files", [_files(data.snapshot)], folded=True),
    ]
    subtitle = f"{data.snapshot.pipeline}, night of {data.snapshot.night}"
    return render_page("Data report", subtitle, _verdict(findings), sections)


def _verdict(findings: Sequence[Finding]) -> Verdict:
    severities = {f.severity for f in findings}
    if Severity.ERROR in severities:
        return Verdict.FAILED
    return Verdict.WARNING if Severity.WARNING in severities else Verdict.PASSED


def _findings(findings: Sequence[Finding]) -> Table | Text:
    told = [f for f in findings if f.severity is not Severity.INFO]
    if not told:
        return Text("Nothing: every day keeps to the schema and is as usual.")
    return _finding_table(told)


def _known(findings: Sequence[Finding]) -> list[Block]:
    known = [f for f in findings if f.severity is Severity.INFO]
    if not known:
        return []
    return [Text("Told before, or within what the schema allows:"), _finding_table(known)]


def _finding_table(findings: Sequence[Finding]) -> Table:
    rows: list[Sequence[Cell]] = [
        (_BADGES[f.severity], f.column or "rows", f.where, f.text) for f in findings
    ]
    return Table(("", "column", "where", "finding"), rows)


def _distributions(data: ReportData) -> list[Block]:
    window = "this window's training rows"
    parts = {window: data.profiled.train}
    if data.released is not None:
        parts["last released model's"] = data.released
    parts["this window's holdout"] = data.profiled.holdout
    parts["its newest day, where something is said"] = data.profiled.newest
    marks = worst_by_column(data.judgement.findings)
    notes = dict(_drift_notes(data))
    charts = sorted(distributions(parts), key=lambda c: _urgency(marks.get(c.column)))
    caption = (
        "Share of the values in each bin, each chart to its own height; columns with findings "
        "first. The outermost bins of numbers hold whatever lies beyond; shares written below a "
        "chart stand in the order of the legend."
    )
    return [Figure(distributions_figure(charts, tuple(parts), marks, notes), caption)]


def _drift_notes(data: ReportData) -> Iterator[tuple[str, str]]:
    limits = distance_limits(data.schema, "drift_comparator")
    for column in _columns(data):
        value = data.judgement.distances.get(f"drift/{column}")
        if value is not None:
            of = f" of {limits[column]:g}" if column in limits else ""
            yield column, f"drift {value:.2g}{of}"


def _urgency(severity: Severity | None) -> int:
    order = list(Severity)
    return order.index(severity) if severity else len(order)


def _columns(data: ReportData) -> list[str]:
    """Every column with a distance, in the schema's order."""
    measured = {name.split("/", 1)[1] for name in data.judgement.distances}
    described = [feature.name for feature in data.schema.feature]
    return [*(c for c in described if c in measured), *sorted(measured - set(described))]


def _against(snapshot: Snapshot) -> str:
    champion = snapshot.baseline.champion
    if champion is None:
        return "No version has been released yet, so there is nothing to measure drift from."
    return (
        f"Drift is from the training rows of the champion, version {champion.version}, night of "
        f"{champion.night}."
    )


def _distances(data: ReportData) -> Table:
    drift_limits = distance_limits(data.schema, "drift_comparator")
    skew_limits = distance_limits(data.schema, "skew_comparator")
    measured = data.judgement.distances
    rows: list[Sequence[Cell]] = [
        (
            column,
            _bar(measured.get(f"drift/{column}")),
            drift_limits.get(column),
            _bar(measured.get(f"holdout_drift/{column}")),
            _bar(measured.get(f"skew/{column}")),
            skew_limits.get(column),
            _bar(measured.get(f"day_drift/{column}")),
        )
        for column in _columns(data)
    ]
    head = (
        *("column", "train from champion's", "limit", "holdout from train"),
        *("requests from train", "limit", "newest day from the others"),
    )
    caption = (
        "Jensen-Shannon divergence to base 2: 0 is the same distribution, 1 is nothing in common. "
        "Limits are the schema's comparators; the newest day's limit is what its window shows. "
        "Columns with one value all day, such as the weekday, are left out: their distance only "
        "says which days are compared."
    )
    return Table(head, rows, caption)


def _bar(value: float | None) -> Cell:
    return None if value is None else Bar(round(value, 4), value)


def _history(data: ReportData) -> list[Block]:
    nights = len(data.history)
    if nights < 2:
        return [Text("The first night of its line: from the next released one on there is a line.")]
    limits = distance_limits(data.schema, "drift_comparator")
    caption = (
        f"{nights} nights, the released ones up to this. Solid: training rows from the champion's. "
        "Dashed: holdout from training rows. Dotted: the drift limit."
    )
    described = [f.name for f in data.schema.feature if f.name in _columns(data)]
    return [Figure(drift_figure(data.history, limits, described), caption)]


def _slices(data: ReportData) -> list[Section]:
    slices = data.profiled.slices
    if not slices:
        return []
    limits = distance_limits(data.schema, "skew_comparator")
    rows: list[Sequence[Cell]] = []
    for part in slices:
        measured = data.judgement.slices.get(part.name, {})
        farthest = max(
            measured.keys() & limits.keys(), key=lambda c: measured[c] / limits[c], default=None
        )
        rows.append(
            (
                part.name,
                part.train_rows,
                part.holdout_rows,
                farthest,
                None if farthest is None else round(measured[farthest], 4),
                None if farthest is None else limits[farthest],
            )
        )
    head = ("slice", "train rows", "holdout rows", "farthest column", "holdout from train", "limit")
    caption = "Slices with few held-out rows have no distances: chance alone would exceed limits."
    return [Section("Slices", [Table(head, rows, caption)])]


def _requests(data: ReportData) -> Text:
    files = data.snapshot.requests
    if not files:
        return Text(
            "No logged requests for the held-out days, so training and serving are not compared; "
            "the holdout stands in for what will be asked."
        )
    rows = sum(f.rows for f in files)
    return Text(
        f"{rows:,} logged request rows of {files[0].date} to {files[-1].date} are compared with "
        "the training rows, column by column, in the table of distances."
    )


def _expectations(data: ReportData) -> Link:
    return Link(
        "Data Docs of Great Expectations",
        data.expectations_page,
        "hold the rules of expectations.yaml over the same rows. Where a rule stopped the night, "
        "nothing is there: open the report of the task 'expectations'.",
    )


_Parts = Sequence[tuple[str, "Statistics"]]


def _features(
    parts: _Parts, numeric: bool
) -> Iterator[tuple[str, str, statistics_pb2.FeatureNameStatistics]]:
    """Column, part and statistics, column by column."""
    by_column: dict[str, list[tuple[str, statistics_pb2.FeatureNameStatistics]]] = {}
    for part, statistics in parts:
        for feature in (f for dataset in statistics.datasets for f in dataset.features):
            if feature.HasField("num_stats") == numeric:
                by_column.setdefault(".".join(feature.path.step), []).append((part, feature))
    for column, found in by_column.items():
        for part, feature in found:
            yield column, part, feature


def _numbers(parts: _Parts) -> Table:
    rows: list[Sequence[Cell]] = []
    for column, part, feature in _features(parts, numeric=True):
        number = feature.num_stats
        middle = (number.min, number.median, number.mean, number.max, number.std_dev)
        rows.append((column, part, _missing(number.common_stats), *middle))
    ranks = ("least", "median", "mean", "greatest", "std. deviation")
    return Table(("column", "rows", "empty", *ranks), rows, "Numbers")


def _categories(parts: _Parts) -> Table:
    rows: list[Sequence[Cell]] = []
    for column, part, feature in _features(parts, numeric=False):
        text = feature.string_stats
        top = ", ".join(f"{v.value} ({v.frequency:,.0f})" for v in text.top_values[:_TOP])
        rows.append((column, part, _missing(text.common_stats), text.unique, top))
    return Table(("column", "rows", "empty", "distinct", "most frequent"), rows, "Categories")


def _missing(common: statistics_pb2.CommonStatistics) -> Cell:
    total = common.num_missing + common.num_non_missing
    return f"{common.num_missing / total:.2%}" if common.num_missing else "0 %"


def _files(snapshot: Snapshot) -> Table:
    rows: list[Sequence[Cell]] = [
        (
            f.date.isoformat(),
            part,
            f.rows,
            f.size,
            f.key,
            f.version_id or "",
            f.sha256[:16],
        )
        for f, part in (
            *((f, "requests") for f in reversed(snapshot.requests)),
            *((f, f.split.value) for f in reversed(snapshot.files)),
        )
    ]
    trained, held_out = snapshot.rows(Split.TRAIN), snapshot.rows(Split.HOLDOUT)
    counts = f"{trained:,} rows to train on, {held_out:,} held out"
    head = ("day", "part", "rows", "bytes", "file", "version", "SHA-256")
    return Table(head, rows, counts)
