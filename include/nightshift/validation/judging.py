"""Everything that is wrong or unusual about a night's data, and every distance as a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from nightshift.validation.anomalies import SERVING, Verdict, judge, only, without
from nightshift.validation.champion_data import ChampionData
from nightshift.validation.findings import Finding, Severity, by_severity
from nightshift.validation.profiling import Profiled, Reading
from nightshift.validation.sliced import Slice

REQUESTS = "logged requests"
FEWEST_SLICE_ROWS = 1_000
"""Held-out rows that a slice's spread is judged by: with fewer, chance alone exceeds the limits."""


@dataclass(frozen=True)
class Judgement:
    """What was found.

    Attributes:
        findings: Errors first.
        distances: Jensen-Shannon divergences by column, 0 to 1: ``drift/`` (training rows from the
            champion's), ``holdout_drift/`` (held-out from training rows), ``day_drift/`` (the
            newest day from the window's others), ``skew/`` (logged requests from training rows).
            Not of the calendar's columns.
        slices: Name of each slice to its held-out rows' distances from its training rows.
    """

    findings: list[Finding]
    distances: dict[str, float]
    slices: dict[str, dict[str, float]] = field(default_factory=dict)


def judge_all(
    night: date, how: Reading, profiled: Profiled, champion: ChampionData, *, stop_unusual: bool
) -> Judgement:
    """Hold the counts to the schema, to the champion's, to the requests' and to what is usual.

    A day's own finding names the file, so TFDV's on the same column is told only where no day
    has one: it then means the type, the shape, or something that no single day breaks.

    Args:
        night: The window's last day.
        how: The schema and what was read.
        profiled: The counts.
        champion: What the drift is measured from.
        stop_unusual: Whether a newest day far from what is usual is an error.
    """
    schema, holdout = how.schema, profiled.holdout
    whole = judge(profiled.train, schema, "train", previous=champion.train, holdout=holdout)
    asked = only(holdout, frozenset(how.features))
    requests = _requests(how, profiled)
    sliced = {part.name: _sliced(part, how) for part in profiled.slices}
    verdicts = [
        whole,
        judge(holdout, schema, "holdout"),
        judge(profiled.newest, schema, f"{night} by itself"),
        judge(asked, schema, "a request (SERVING)", environment=SERVING),
        requests,
        *sliced.values(),
    ]
    stopped = {f.column for f in profiled.findings if f.severity is Severity.ERROR}
    found = [f for v in verdicts for f in v.findings if f.column not in stopped or f.is_drift]
    unusual = [
        f if stop_unusual else f.as_warning()
        for f in profiled.unusual.findings
        if f.column not in stopped
    ]
    distances = {
        "drift": whole.drift,
        "holdout_drift": whole.skew,
        "day_drift": profiled.unusual.distances,
        "skew": requests.skew,
    }
    return Judgement(
        by_severity([*profiled.findings, *_distinct(found), *unusual]),
        dict(_named(distances, but=profiled.unusual.calendar)),
        {name: verdict.skew for name, verdict in sliced.items()},
    )


def _requests(how: Reading, profiled: Profiled) -> Verdict:
    """Logged requests beside the training rows. Clients' mistakes warn, and never stop a night."""
    if profiled.requests is None:
        return Verdict()
    trained = only(profiled.train, frozenset(how.logged))
    # A feature that is never kept is not missing.
    schema = without(how.schema, frozenset({*how.features} - {*how.logged}))
    skewed = judge(trained, schema, REQUESTS, environment=SERVING, holdout=profiled.requests)
    kept = judge(profiled.requests, schema, REQUESTS, environment=SERVING)
    found = [f for f in skewed.findings if f.is_drift] + kept.findings
    return Verdict([f.as_warning() for f in found], skew=skewed.skew)


def _sliced(part: Slice, how: Reading) -> Verdict:
    """One slice by itself: a warning, for limits are written for all rows together."""
    enough = part.holdout_rows >= FEWEST_SLICE_ROWS
    holdout = part.holdout if enough and part.train_rows else None
    verdict = judge(part.train, how.schema, f"train where {part.name}", holdout=holdout)
    skew = {c: v for c, v in verdict.skew.items() if c != part.column}
    return Verdict([f.as_warning() for f in verdict.findings], skew=skew)


def _distinct(findings: Sequence[Finding]) -> list[Finding]:
    """One finding per column and rule, the widest rows first; of distances one per comparison."""
    first: dict[tuple[str, ...], Finding] = {}
    for finding in findings:
        compared = (finding.value, finding.where) if finding.is_drift else ()
        first.setdefault((finding.column, finding.rule, *compared), finding)
    return list(first.values())


def _named(
    distances: Mapping[str, Mapping[str, float]], *, but: frozenset[str]
) -> Iterator[tuple[str, float]]:
    for kind, by_column in distances.items():
        for column, value in sorted(by_column.items()):
            if column not in but:
                yield f"{kind}/{column}", value
