"""What people do to releases and to the hosts that serve them, and what ``status`` says of both."""

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
from nightshift.release import drain as drains
from nightshift.release import requests
from nightshift.release.record import Colour, ReleaseRecord
from nightshift.release.status import HostStatus
from nightshift.release.view import view
from nightshift.stack.environment import model_key_environment, s3_environment
from nightshift.stack.settings import StackSettings, current_settings
from nightshift.storage.s3 import Bucket, artifact_bucket
from nightshift.tracking.registry import Registry

_APPLY_SECONDS = 120.0
_Pipeline = Annotated[str, typer.Argument(help="Name of the pipeline's folder.")]
_Host = Annotated[str, typer.Argument(help="Name of a serving host, as its agent has it.")]


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
        _wait_for_release(bucket, pipeline, state.release_id, state.patience_seconds)
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


def drain(
    host: _Host,
    reason: Annotated[str, typer.Option(help="Why; shown by status until it is undrained.")],
    force: Annotated[
        bool, typer.Option("--force", help="Though no other host is in service.")
    ] = False,
) -> None:
    """Take a serving host out of service: load balancers stop sending, releases go on without it.

    It goes on serving what still comes. Waits until the host says that its health check fails;
    one that is down is drained once its agent is back.

    Examples:

      ./nightshift drain two --reason "new disk"

      ./nightshift undrain two
    """
    bucket = stack_bucket(current_settings())
    drains.drain(bucket, host, by=_who(), reason=reason, force=force)
    if not _status_of(bucket, host).is_recent(datetime.now(UTC)):
        console.print(f"{host} does not report; it is drained once its agent is back.")
        return
    _wait_for_draining(bucket, host, wanted=True)
    console.print(f"{host} is drained ({reason}): its health check fails, releases go on.")


def undrain(
    host: _Host,
    reason: Annotated[str, typer.Option(help="Why; kept beside the host.")] = "back in service",
) -> None:
    """Put a drained host back into service, once it has caught up with the release log.

    Waits for it. Ctrl-C stops the waiting, not the host.

    Example:

      ./nightshift undrain two --reason "disk replaced"
    """
    bucket = stack_bucket(current_settings())
    drains.undrain(bucket, host, by=_who(), reason=reason)
    _wait_for_draining(bucket, host, wanted=False)
    console.print(f"{host} has caught up; its health check is right again.")


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


def drains_shown(settings: StackSettings) -> list[str]:
    """A line for each serving host that is out of service, or is to be: who, since when, why."""
    bucket = stack_bucket(settings)
    wishes = drains.read_wishes(bucket)
    lines = (drain_line(status, wishes) for status in requests.hosts(bucket))
    return [line for line in lines if line]


def drain_line(status: HostStatus, wishes: drains.Wishes) -> str:
    """The line of one host; empty for one in service."""
    if wishes.drains(status.host):
        wish = wishes.hosts[status.host]
        state = "is drained" if status.draining else "is to be drained, its agent has yet to do it"
        return f"host {status.host} {state} ({wish.by}, {_minute(wish.at)}): {wish.reason}"
    if status.draining:
        return f"host {status.host} is undrained and catches up{_behind(status)}"
    return ""


def _behind(status: HostStatus) -> str:
    lacks = (f"{name}: {p.route.message}" for name, p in status.pipelines.items())
    said = [lack for lack in lacks if not lack.endswith(": ")]
    return f" ({'; '.join(said)})" if said else ""


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def stack_bucket(settings: StackSettings) -> Bucket:
    """The artifact bucket that this shell means, with the keys of its models.

    That of ``NIGHTSHIFT_BUCKET`` and S3's own variables where it has them, else the local stack's.
    """
    if "NIGHTSHIFT_BUCKET" not in os.environ:
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


def _wait_for_release(bucket: Bucket, pipeline: str, release_id: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        state = requests.watch(bucket, pipeline, release_id)
        if state.ended and not state.succeeded:
            raise UnavailableError(state.message)
        if state.ended:
            return
        time.sleep(0.5)
    raise UnavailableError(
        f"{pipeline}: the release did not end within {patience:g} s. Is the agent running? "
        "See './nightshift status'; the request stays in the log and is carried out later."
    )


def _wait_for_draining(bucket: Bucket, host: str, *, wanted: bool) -> None:
    deadline = time.monotonic() + _APPLY_SECONDS
    while (status := _status_of(bucket, host)).draining is not wanted:
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"{host}: this is written down and will be done, but within {_APPLY_SECONDS:g} s "
                f"it was not{_behind(status)}; last heard of {_minute(status.at)}. See its "
                "agent's log and './nightshift status'."
            )
        time.sleep(0.3)


def _status_of(bucket: Bucket, host: str) -> HostStatus:
    found = {status.host: status for status in requests.hosts(bucket)}
    if host not in found:
        raise UnavailableError(f"{host} has no status: it was taken down for good meanwhile.")
    return found[host]


def _wait_for_hosts(bucket: Bucket, pipeline: str) -> list[str]:
    deadline = time.monotonic() + _APPLY_SECONDS
    while time.monotonic() < deadline:
        applied = requests.applied_on(bucket, requests.record(bucket, pipeline))
        if applied and all(applied.values()):
            return sorted(applied)
        time.sleep(0.3)
    raise UnavailableError(
        f"{pipeline}: the roll-back is in the release log, but no host in service reported within "
        f"{_APPLY_SECONDS:g} s that it routes so. See './nightshift logs agent'."
    )
