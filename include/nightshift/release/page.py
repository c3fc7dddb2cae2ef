"""A release as it goes, for a browser: phase, weights, what each phase showed, every check."""

from __future__ import annotations

from nightshift.release.record import Colour, Phase, ReleaseRecord
from nightshift.release.view import ReleaseView
from nightshift.reports.page import Badge, Bar, Section, Table, Text, Verdict, render_page

RELOAD_SECONDS = 2


def release_html(view: ReleaseView) -> str:
    """The page; it loads itself again while the release is under way."""
    record = view.record
    asked = record.request
    title = f"version {asked.candidate.version}" if asked else "nothing released yet"
    page = render_page(
        "Release",
        f"{record.pipeline}, {title}",
        Badge(_verdict(record), str(record.phase)),
        [_now(record), _checks(view), _seen(view)],
    )
    if not record.phase.under_way:
        return page
    reload = f'<meta http-equiv="refresh" content="{RELOAD_SECONDS}">'
    return page.replace("<head>", f"<head>{reload}", 1)


def _verdict(record: ReleaseRecord) -> Verdict:
    if record.question is not None:
        return Verdict.WARNING
    if record.phase in (Phase.ABORTED, Phase.ROLLED_BACK):
        return Verdict.FAILED
    return Verdict.PASSED if record.phase is Phase.FINISHED else Verdict.INFO


def _now(record: ReleaseRecord) -> Section:
    rows = []
    for colour in Colour:
        held, share = record.slot(colour), record.weights.of(colour)
        role = "live" if colour is record.live else ""
        version = f"version {held.version}, night of {held.night}" if held else "nothing"
        rows.append((str(colour), version, role, Bar(share, share / 100)))
    since = f"Since {record.since:%Y-%m-%d %H:%M:%S} UTC. " if record.since else ""
    return Section(
        "Now",
        [
            Text(f"{since}{record.verdict}"),
            Table(("colour", "holds", "", "% of the traffic"), rows),
        ],
    )


def _checks(view: ReleaseView) -> Section:
    rows = [
        (
            check.rule,
            Badge(Verdict.FAILED if check.condemns else Verdict.PASSED),
            Bar(round(max(0.0, check.evidence), 3), check.evidence),
            check.text,
        )
        for check in view.checks
    ]
    columns = ("rule", "", "evidence against it, of 1", "seen")
    return Section("Against the live version", [Table(columns, rows)] if rows else [])


def _seen(view: ReleaseView) -> Section:
    rows = [
        (
            name,
            str(colour),
            counts.requests,
            counts.failures,
            counts.quantile(0.5),
            counts.quantile(0.99),
            stretch.compared.pairs,
        )
        for name, stretch in view.stretches.items()
        for colour in Colour
        for counts in (stretch.traffic.of(colour),)
    ]
    columns = ("phase", "colour", "requests", "failed", "p50 ms", "p99 ms", "compared")
    return Section("Seen, by phase", [Table(columns, rows)] if rows else [])
