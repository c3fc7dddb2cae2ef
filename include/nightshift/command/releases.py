"""``rollback``, and what ``status`` says of releases."""

from __future__ import annotations

import getpass
import os
import time
from typing import Annotated

import typer
from rich.table import Table

from nightshift.card.files import card_page
from nightshift.command.display import console
from nightshift.definition import pipeline_names
from nightshift.errors import BadDefinitionError, UnavailableError
from nightshift.release import requests
from nightshift.release.record import Colour, ReleaseRecord
from nightshift.stack.environment import s3_environment
from nightshift.stack.settings import StackSettings, current_settings
from nightshift.storage.s3 import Bucket, artifact_bucket
from nightshift.tracking.registry import Registry

_APPLY_SECONDS = 120.0


def rollback(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline's folder.")],
    to_version: Annotated[
        int | None,
        typer.Option(min=1, help="Where to; default: the version that was live before."),
    ] = None,
    reason: Annotated[
        str, typer.Option(help="Why; kept in the release log, and the version left is rejected.")
    ] = "rolled back by hand",
) -> None:
    """Go back to an earlier version, and never again to the one left.

    Needs no Airflow. Waits until every serving host routes to the version.

    Examples:

      ./nightshift rollback flights

      ./nightshift rollback flights --to-version 3 --reason "late flights missed in Denver"
    """
    require_pipeline(pipeline)
    bucket = stack_bucket(current_settings())
    who = f"{getpass.getuser()}@command"
    state = requests.rollback(bucket, pipeline, by=who, reason=reason, to_version=to_version)
    console.print(f"{pipeline}: from version {state.from_version} to {state.to_version} …")
    if state.release_id:
        _wait_for_release(bucket, pipeline, state.release_id)
    hosts = _wait_for_hosts(bucket, pipeline)
    console.print(
        f"{pipeline}: version {state.to_version} is live on {', '.join(hosts) or 'no host'}; "
        f"version {state.from_version} is rejected ({reason})."
    )


def release_table(settings: StackSettings) -> Table:
    """Each pipeline's live version and newest release."""
    bucket = stack_bucket(settings)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("pipeline", "live", "night", "blue", "green", "newest release", "model card"):
        table.add_column(column)
    for name in pipeline_names():
        record = requests.record(bucket, name)
        champion = record.champion
        table.add_row(
            name,
            f"version {champion.version} ({record.live})" if champion else "none yet",
            champion.night.isoformat() if champion else "",
            _held(record, Colour.BLUE),
            _held(record, Colour.GREEN),
            f"{record.phase}: {record.verdict}" if record.verdict else str(record.phase),
            _card(settings, bucket, record),
        )
    return table


def decisions_shown(settings: StackSettings) -> list[str]:
    """A line for each version in sight that a person let through: who, and why."""
    bucket = stack_bucket(settings)
    records = [requests.record(bucket, name) for name in pipeline_names()]
    return [
        f"{record.pipeline} version {candidate.version} was {candidate.decision}"
        for record in records
        for candidate in (record.blue, record.green)
        if candidate and candidate.decision
    ]


def stack_bucket(settings: StackSettings) -> Bucket:
    """The stack's artifact bucket, for this process."""
    os.environ.update(s3_environment(settings))
    return artifact_bucket()


def require_pipeline(name: str) -> None:
    """Refuse a name that no folder has."""
    if name not in pipeline_names():
        raise BadDefinitionError(
            f"There is no pipeline '{name}'. There are: {', '.join(pipeline_names()) or 'none'}."
        )


def _card(settings: StackSettings, bucket: Bucket, record: ReleaseRecord) -> str:
    """Address of the live version's card in Airflow."""
    champion = record.champion
    if champion is None or Registry(bucket, record.pipeline).card(champion.version) is None:
        return "-"
    return airflow_page(settings, card_page(record.pipeline, champion.version))


def airflow_page(settings: StackSettings, path: str) -> str:
    """The whole address of one of our pages behind Airflow's login."""
    return f"http://127.0.0.1:{settings.ports.airflow}{path}"


def _held(record: ReleaseRecord, colour: Colour) -> str:
    candidate = record.slot(colour)
    return f"{candidate.version} ({record.weights.of(colour)} %)" if candidate else "-"


def _wait_for_release(bucket: Bucket, pipeline: str, release_id: str) -> None:
    deadline = time.monotonic() + _APPLY_SECONDS
    while time.monotonic() < deadline:
        state = requests.watch(bucket, pipeline, release_id)
        if state.ended and not state.succeeded:
            raise UnavailableError(state.message)
        if state.ended:
            return
        time.sleep(0.5)
    raise UnavailableError(
        f"{pipeline}: the release did not end within {_APPLY_SECONDS:g} s. Is the agent running? "
        "See './nightshift status'; the request stays in the log and is carried out later."
    )


def _wait_for_hosts(bucket: Bucket, pipeline: str) -> list[str]:
    deadline = time.monotonic() + _APPLY_SECONDS
    while time.monotonic() < deadline:
        applied = requests.applied_on(bucket, requests.record(bucket, pipeline))
        if applied and all(applied.values()):
            return sorted(applied)
        time.sleep(0.3)
    raise UnavailableError(
        f"{pipeline}: the roll-back is in the release log, but no serving host reported within "
        f"{_APPLY_SECONDS:g} s that it routes so. See './nightshift logs agent'."
    )
