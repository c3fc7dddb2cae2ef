"""A release as it goes, on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nightshift.release.analysis import Check
from nightshift.release.record import Colour, ReleaseRecord
from nightshift.release.traffic import Stretch
from nightshift.release.view import ReleaseView

_BAR = 24


def release_panel(view: ReleaseView) -> RenderableType:
    """Phase, weights, the newest phase's counts, and how every check stands."""
    record = view.record
    parts: list[RenderableType] = [_headline(record), _weights(record)]
    newest = next(reversed(list(view.stretches.values())), None)
    if newest is not None and record.phase.is_judged:
        parts.append(_counts(record, newest))
        parts.append(_checks(view.checks))
    return Group(*parts)


def release_line(record: ReleaseRecord) -> str:
    """The same in a line, for everything that is not a terminal."""
    shares = f"{record.weights.blue}% blue, {record.weights.green}% green"
    return f"{record.pipeline}: {record.stretch or record.phase} ({shares}): {record.verdict}"


def _headline(record: ReleaseRecord) -> Text:
    asked = record.request
    version = f" version {asked.candidate.version}" if asked else ""
    question = "  waits for a person" if record.question else ""
    return Text.assemble(
        (f"{record.pipeline}{version}: ", "bold"),
        (str(record.stretch or record.phase), "cyan"),
        (question, "yellow"),
        f"  {record.verdict}",
    )


def _weights(record: ReleaseRecord) -> Text:
    blue = round(record.weights.blue / 100 * _BAR)
    bar = Text("  ")
    bar.append("█" * blue, "blue").append("█" * (_BAR - blue), "green")
    for colour in Colour:
        held = record.slot(colour)
        holds = f"version {held.version}" if held else "nothing"
        live = ", live" if colour is record.live else ""
        bar.append(f"  {colour} {record.weights.of(colour)}% ({holds}{live})", str(colour))
    return bar


def _counts(record: ReleaseRecord, stretch: Stretch) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2))
    for column in ("", "requests", "failed", "p50 ms", "p99 ms", "compared"):
        table.add_column(column, justify="right" if column else "left")
    for colour in Colour:
        counts = stretch.traffic.of(colour)
        quantiles = (counts.quantile(share) for share in (0.5, 0.99))
        new = record.request is not None and colour is record.request.colour
        table.add_row(
            Text(f"  {colour}{' (new)' if new else ''}", style=str(colour)),
            str(counts.requests),
            str(counts.failures),
            *("-" if value is None else f"{value:g}" for value in quantiles),
            str(stretch.compared.pairs) if new else "",
        )
    return table


def _checks(checks: tuple[Check, ...]) -> Table:
    table = Table.grid(padding=(0, 2))
    for check in checks:
        mark = ("✗", "red") if check.condemns else ("✓", "green")
        table.add_row(Text(f"  {mark[0]}", style=mark[1]), check.rule, Text(check.text, "dim"))
    return table
