"""``replay``: ask both versions of a release what was asked before, where live traffic is thin."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from nightshift.command.display import console
from nightshift.command.releases import require_pipeline, stack_bucket
from nightshift.data.replay_rows import Source, Wanted
from nightshift.errors import BadDataError, RefusedError, UnavailableError
from nightshift.release import requests
from nightshift.release.comparison import Compared
from nightshift.release.record import Colour, ReleaseRecord
from nightshift.release.replay import FASTEST, Replay, ask
from nightshift.release.status import read_statuses
from nightshift.stack.environment import step_environment
from nightshift.stack.settings import StackSettings, current_settings
from nightshift.storage.s3 import Bucket

_POLL_SECONDS = 0.5
_SILENT_SECONDS = 60.0


def replay(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline's folder.")],
    source: Annotated[
        Source | None,
        typer.Option("--from", help="Default: recorded requests where there are any."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Requests at most.")] = 500,
    rate: Annotated[float, typer.Option(min=0.1, max=FASTEST, help="Requests a second.")] = 20.0,
) -> None:
    """Send recorded or held-out requests to both versions of the release under way.

    Their answers are compared like those to live requests, and count for the release's phase.
    A serving host's agent sends them: it goes on when this command ends.

    Examples:

      ./nightshift replay flights

      ./nightshift replay flights --from holdout --limit 2000 --rate 50
    """
    require_pipeline(pipeline)
    settings = current_settings()
    bucket = stack_bucket(settings)
    record = requests.record(bucket, pipeline)
    host = _judging_host(bucket, record)
    came_from, packed, count = _rows(settings, record, source, limit)
    before = compared(bucket, pipeline, host)
    assert record.request is not None
    asked = ask(
        bucket,
        pipeline,
        packed,
        release=record.request.id,
        host=host,
        requests=count,
        per_second=rate,
        by=f"{getpass.getuser()}@command",
    )
    console.print(f"{pipeline}: {count} {came_from} requests, sent by the agent of {host}")
    after = _follow(bucket, pipeline, asked, before)
    console.print(_table(record, after))


def compared(bucket: Bucket, pipeline: str, host: str) -> Compared:
    """All that a host compared in the pipeline's newest release."""
    whole = Compared()
    for status in read_statuses(bucket):
        found = status.pipelines.get(pipeline) if status.host == host else None
        for stretch in found.stretches.values() if found else ():
            whole = whole.merge(stretch.compared)
    return whole


def _judging_host(bucket: Bucket, record: ReleaseRecord) -> str:
    if record.stretch is None:
        raise RefusedError(
            f"{record.pipeline}: no release is in a phase that compares two versions (it is "
            f"{record.phase}). Give pipeline.yaml a release.shadow, steps or bake_seconds, and "
            "replay while they run."
        )
    alive = sorted(requests.applied_on(bucket, record))
    if not alive:
        raise UnavailableError(
            f"{record.pipeline}: no serving host reports. See './nightshift status'."
        )
    return alive[0]


def _rows(
    settings: StackSettings, record: ReleaseRecord, source: Source | None, limit: int
) -> tuple[str, bytes, int]:
    """Where the requests come from, the requests, and how many; read by the runtime ``ml``."""
    assert record.request is not None
    wanted = Wanted(
        pipeline=record.pipeline,
        source=source,
        limit=limit,
        snapshot=record.request.candidate.lineage.get("snapshot"),
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "requests.jsonl.gz"
        done = subprocess.run(
            [
                settings.runtimes / "ml/bin/python",
                *("-m", "nightshift.data.replay_rows", "--out", out),
            ],
            env={"HOME": os.environ.get("HOME", "/"), **step_environment(settings, "ml")},
            input=wanted.model_dump_json(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise BadDataError(said[-1] if said else f"exit code {done.returncode}")
        told = json.loads(done.stdout)
        return told["source"], out.read_bytes(), told["requests"]


def _follow(bucket: Bucket, pipeline: str, asked: Replay, before: Compared) -> Compared:
    with Progress(
        TextColumn("  replayed"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        bar = progress.add_task("", total=asked.requests)
        moved, seen = time.monotonic(), before
        while True:
            now = compared(bucket, pipeline, asked.host)
            if now != seen:
                moved, seen = time.monotonic(), now
            done = now.replayed - before.replayed
            progress.update(bar, completed=min(done, asked.requests))
            if done >= asked.requests or not _is_judged(bucket, pipeline, asked.release):
                return now
            if time.monotonic() - moved > _SILENT_SECONDS:
                raise UnavailableError(
                    f"{pipeline}: the agent of {asked.host} has reported nothing new for "
                    f"{_SILENT_SECONDS:g} s. The replay goes on when it is back."
                )
            time.sleep(_POLL_SECONDS)


def _is_judged(bucket: Bucket, pipeline: str, release: str) -> bool:
    record = requests.record(bucket, pipeline)
    return (
        record.stretch is not None and record.request is not None and (record.request.id == release)
    )


def _table(record: ReleaseRecord, seen: Compared) -> Table:
    table = Table(
        title=f"{record.pipeline}: compared in release {record.request and record.request.id}"
    )
    table.add_column("")
    for colour in Colour:
        held = record.slot(colour)
        table.add_column(f"{colour} (version {held.version if held else '-'})", justify="right")
    table.add_row("failed alone", *(str(seen.failed_alone.of(c)) for c in Colour))
    table.add_row("not finite alone", *(str(seen.non_finite_alone.of(c)) for c in Colour))
    table.add_section()
    share = f"{seen.disagreements / seen.answered:.1%}" if seen.answered else "-"
    for name, value in (
        ("requests compared", str(seen.pairs)),
        ("of them replayed", str(seen.replayed)),
        ("answers that disagree", f"{seen.disagreements} ({share})"),
        ("distance of the two distributions", f"{seen.distance:.3f}"),
        ("unanswered, dropped", f"{seen.unanswered}, {seen.dropped}"),
    ):
        table.add_row(name, value, "")
    return table
