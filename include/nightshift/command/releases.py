"""``rollback``, ``freeze``, ``thaw``, ``answer``, ``watch``, and what ``status`` says."""

from __future__ import annotations

import getpass
import os
import time
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer
from rich.table import Table

from nightshift.card.files import card_page
from nightshift.command.display import console
from nightshift.command.display import watch as animate
from nightshift.command.release_panel import release_line, release_panel
from nightshift.definition.folders import pipeline_names
from nightshift.errors import BadDefinitionError, UnavailableError
from nightshift.release import requests
from nightshift.release.record import Colour, ReleaseRecord
from nightshift.release.view import view
from nightshift.stack.environment import model_key_environment, s3_environment
from nightshift.stack.settings import StackSettings, current_settings
from nightshift.storage.s3 import Bucket, artifact_bucket
from nightshift.tracking.registry import Registry

_APPLY_SECONDS = 120.0
_Pipeline = Annotated[str, typer.Argument(help="Name of the pipeline's folder.")]


def rollback(
    pipeline: _Pipeline,
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
    state = requests.rollback(bucket, pipeline, by=_who(), reason=reason, to_version=to_version)
    console.print(f"{pipeline}: from version {state.from_version} to {state.to_version} …")
    if state.release_id:
        _wait_for_release(bucket, pipeline, state.release_id)
    hosts = _wait_for_hosts(bucket, pipeline)
    console.print(
        f"{pipeline}: version {state.to_version} is live on {', '.join(hosts) or 'no host'}; "
        f"version {state.from_version} is rejected ({reason})."
    )


def freeze(
    pipeline: _Pipeline,
    until: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="When releases may go on, local time."
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why; shown wherever a release waits.")],
) -> None:
    """Hold releases, not training: a version waits, verified, before it moves any traffic.

    A release that has moved traffic already goes on, and a roll-back always may.

    Examples:

      ./nightshift freeze flights --until 2027-01-02 --reason "holiday peak"

      ./nightshift thaw flights
    """
    require_pipeline(pipeline)
    moment = until.astimezone(UTC)
    if moment <= datetime.now(UTC):
        raise BadDefinitionError(f"--until {until} is past: give a moment to come.")
    bucket = stack_bucket(current_settings())
    requests.freeze(bucket, pipeline, until=moment, by=_who(), reason=reason)
    console.print(f"{pipeline}: releases wait until {moment:%Y-%m-%d %H:%M} UTC ({reason}).")


def thaw(
    pipeline: _Pipeline,
    reason: Annotated[str, typer.Option(help="Why; kept in the log.")] = "the freeze is over",
) -> None:
    """End a freeze early."""
    require_pipeline(pipeline)
    requests.thaw(stack_bucket(current_settings()), pipeline, by=_who(), reason=reason)
    console.print(f"{pipeline}: releases go on.")


def answer(
    pipeline: _Pipeline,
    word: Annotated[Literal["yes", "no"], typer.Argument(help="Shall the release go on?")],
    reason: Annotated[str, typer.Option(help="Why; kept in the release log.")],
) -> None:
    """Answer what a release asks: ``no`` ends it and refuses its version for good.

    The same question waits in Airflow, under *Required Actions* of release_<pipeline>.

    Example:

      ./nightshift answer flights yes --reason "a quiet Sunday; the shadow looked right"
    """
    require_pipeline(pipeline)
    bucket = stack_bucket(current_settings())
    event = requests.answer(bucket, pipeline, go_on=word == "yes", by=_who(), reason=reason)
    console.print(f"{pipeline}: {event.kind}, {event.reason}.")


def watch(pipeline: _Pipeline) -> None:
    """Watch the newest release as it goes: phase, weights, every check against the live version.

    Ends with the release. Ctrl-C stops the watching, not the release.
    """
    require_pipeline(pipeline)
    follow_release(stack_bucket(current_settings()), pipeline)


def follow_release(bucket: Bucket, pipeline: str) -> ReleaseRecord:
    """Show a release until it has ended; its record then."""
    shown = [view(bucket, requests.record(bucket, pipeline))]
    told: list[str] = []

    def work() -> ReleaseRecord:
        while shown[0].record.phase.under_way:
            time.sleep(0.5)
            shown[0] = view(bucket, requests.record(bucket, pipeline))
        return shown[0].record

    def lines() -> list[str]:
        line = release_line(shown[0].record)
        if told and told[-1] == line:
            return []
        told.append(line)
        return [line]

    return animate(work, lambda: release_panel(shown[0]), lines)


def _who() -> str:
    return f"{getpass.getuser()}@command"


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
    """The stack's artifact bucket, for this process, with the keys of its models."""
    os.environ.update({**s3_environment(settings), **model_key_environment(settings)})
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
