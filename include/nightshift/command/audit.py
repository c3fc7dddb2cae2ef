"""``audit``: every change of a pipeline's record, with who and why."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from nightshift.command.display import console
from nightshift.command.releases import require_pipeline, stack_bucket
from nightshift.release.audit import AuditLine
from nightshift.release.audit import audit as lines_of
from nightshift.release.log import ReleaseLog
from nightshift.stack.settings import current_settings


def audit(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline's folder.")],
    json: Annotated[
        bool, typer.Option("--json", help="A line of JSON each, for a program.")
    ] = False,
) -> None:
    """Every change of the release record: when, who, from what to what, why. Oldest first.

    The log is also held to itself: an event that does not follow from those before it, because it
    was overwritten or one is missing, is named, and the exit code is 1.

    Examples:

      ./nightshift audit flights

      ./nightshift audit flights --json > flights.audit.jsonl
    """
    require_pipeline(pipeline)
    log = ReleaseLog(stack_bucket(current_settings()), pipeline)
    lines = list(lines_of(pipeline, log.history()))
    if json:
        for line in lines:
            print(line.model_dump_json())
    else:
        console.print(_table(lines))
    if any(line.problem for line in lines):
        raise typer.Exit(1)


def _table(lines: list[AuditLine]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("event", "when (UTC)", "who", "change", "from", "to", "why"):
        table.add_column(column)
    for line in lines:
        why = Text(line.why)
        if line.problem:
            why.append(f" ✗ {line.problem}", style="bold red")
        when = f"{line.at:%Y-%m-%d %H:%M:%S}"
        cells = (str(line.number), when, line.by, line.change, line.before, line.after)
        table.add_row(*(Text(cell) for cell in cells), why)
    return table
