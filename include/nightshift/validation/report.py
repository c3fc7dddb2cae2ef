"""The data report: what is wrong first, then drift, then each column's numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nightshift.data.pinned import Snapshot, Split
from nightshift.reports.page import (
    Badge,
    Bar,
    Cell,
    Section,
    Table,
    Text,
    Verdict,
    render_page,
)
from nightshift.validation.findings import Finding, Severity

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import statistics_pb2

    from nightshift.validation.profile import Statistics

_BADGES = {
    Severity.ERROR: Badge(Verdict.FAILED, "error"),
    Severity.WARNING: Badge(Verdict.WARNING, "warning"),
    Severity.INFO: Badge(Verdict.INFO, "known"),
}
_TOP = 5


def data_report(
    snapshot: Snapshot,
    parts: Mapping[str, Statistics],
    findings: Sequence[Finding],
    distances: Mapping[str, float],
) -> str:
    """The page as HTML.

    Args:
        snapshot: What was read.
        parts: Name of each part of the rows to its statistics.
        findings: Errors first.
        distances: ``drift/<column>`` and ``holdout_drift/<column>``: Jensen-Shannon, 0 to 1.
    """
    sections = [
        Section("Findings", [_findings(findings)]),
        Section("Drift", _drift(snapshot, distances)),
        Section("Columns", [_numbers(tuple(parts.items())), _categories(tuple(parts.items()))]),
        Section("Files", [_files(snapshot)], folded=True),
    ]
    subtitle = f"{snapshot.pipeline}, night of {snapshot.night}"
    return render_page("Data report", subtitle, _verdict(findings), sections)


def _verdict(findings: Sequence[Finding]) -> Verdict:
    severities = {f.severity for f in findings}
    if Severity.ERROR in severities:
        return Verdict.FAILED
    return Verdict.WARNING if Severity.WARNING in severities else Verdict.PASSED


def _findings(findings: Sequence[Finding]) -> Table | Text:
    if not findings:
        return Text("Nothing: every day keeps to the schema.")
    rows: list[Sequence[Cell]] = [
        (_BADGES[f.severity], f.where, f.column, f.value, f.limit, f.text) for f in findings
    ]
    return Table(("", "where", "column", "value", "limit", "finding"), rows)


def _drift(snapshot: Snapshot, distances: Mapping[str, float]) -> list[Table | Text]:
    champion = snapshot.baseline.champion
    against = (
        f"Against the training rows of the champion, version {champion.version}, night of "
        f"{champion.night}."
        if champion
        else "No version has been released yet, so there is nothing to compare with."
    )
    columns = sorted({name.split("/", 1)[1] for name in distances})
    rows: list[Sequence[Cell]] = [
        (
            c,
            _bar(distances.get(f"drift/{c}")),
            _bar(distances.get(f"holdout_drift/{c}")),
        )
        for c in columns
    ]
    head = ("column", "train from champion's", "holdout from train")
    caption = "Jensen-Shannon divergence: 0 is the same distribution, 1 is nothing in common."
    return [Text(against), Table(head, rows, caption)]


def _bar(value: float | None) -> Cell:
    return None if value is None else Bar(round(value, 4), value)


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
        common = number.common_stats
        rows.append(
            (
                column, part, _missing(common), number.min, number.median, number.mean, number.max,
                number.std_dev,
            )
        )  # fmt: skip
    head = (
        "column",
        "rows",
        "empty",
        "least",
        "median",
        "mean",
        "greatest",
        "std. deviation",
    )
    return Table(head, rows, "Numbers")


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
            f.split.value,
            f.rows,
            f.size,
            f.key,
            f.version_id or "",
            f.sha256[:16],
        )
        for f in reversed(snapshot.files)
    ]
    trained, held_out = snapshot.rows(Split.TRAIN), snapshot.rows(Split.HOLDOUT)
    counts = f"{trained:,} rows to train on, {held_out:,} held out"
    head = ("day", "part", "rows", "bytes", "file", "version", "SHA-256")
    return Table(head, rows, counts)
