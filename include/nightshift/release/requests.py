"""What Airflow and the command may ask of releases. They ask and watch; serving agents act."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from nightshift.definition.rollout import Rollout
from nightshift.errors import RefusedError
from nightshift.gates.decisions import admit
from nightshift.release import machine
from nightshift.release.candidate import Candidate
from nightshift.release.event import Change, Event
from nightshift.release.log import ReleaseLog
from nightshift.release.record import About, Freeze, Phase, ReleaseRecord
from nightshift.release.status import HostStatus, read_statuses
from nightshift.storage.s3 import Bucket

_RECENT = 50
_PATIENCE = 300.0
"""Seconds for routes to move on every host in service."""
_WAITS = 4
"""Phases of a staged roll-back that wait for hosts."""


class ReleaseState(BaseModel):
    """How one release stands."""

    model_config = ConfigDict(frozen=True)

    id: str
    version: int
    phase: Phase
    number: int
    """The event that this was read from."""
    ended: bool
    succeeded: bool
    """It ended and its version became live everywhere."""
    message: str
    question: About | None = None
    """What a person is asked; the release waits for the answer."""


class RollbackState(BaseModel):
    """What a roll-back led to."""

    model_config = ConfigDict(frozen=True)

    number: int
    """The event; :func:`applied_on` tells which hosts have followed."""
    from_version: int
    to_version: int
    release_id: str | None
    """Where the version had to be staged first: the release to :func:`watch`."""
    patience_seconds: float
    """After so long it is done, or has ended by itself, if any agent works."""


def ask(
    bucket: Bucket,
    pipeline: str,
    candidate: Candidate,
    *,
    by: str,
    reason: str,
    override: bool = False,
    timeout_seconds: float = machine.DEFAULT_TIMEOUT,
    rollout: Rollout | None = None,
) -> str:
    """Ask for a release; asking again while it is under way or live is the same release.

    Another release that is not live yet is ended first, where ``rollout`` supersedes.

    Returns:
        The release's id, for :func:`watch`.

    Raises:
        RefusedError: The version was rejected, is older than the live one without override, or its
            gate did not pass and nobody approved or overrode it.
        ReleaseUnderWayError: Another release is under way; retryable.
        UnavailableError: The object store is away; asking again is safe.
    """
    _require_admission(bucket, pipeline, candidate)
    known: list[str] = []

    def decide(record: ReleaseRecord) -> Change | None:
        release = machine.known_release(record, candidate.version)
        if release is not None:
            known.append(release)
            return None
        return machine.request(
            record,
            candidate,
            by=by,
            reason=reason,
            override=override,
            timeout_seconds=timeout_seconds,
            rollout=rollout,
        )

    log = ReleaseLog(bucket, pipeline)
    while True:
        try:
            event = log.change(decide, by=by)
            break
        except machine.ReleaseUnderWayError:
            if not _supersede(log, candidate, rollout, by):
                raise
    if event is None:
        return known[-1]
    assert event.record.request is not None
    return event.record.request.id


def answer(
    bucket: Bucket,
    pipeline: str,
    *,
    go_on: bool,
    by: str,
    reason: str,
    release_id: str | None = None,
    about: About | None = None,
) -> Event:
    """Answer what a release asks a person.

    Args:
        bucket: Bucket of the release log.
        pipeline: Name of the pipeline.
        go_on: Yes; a no ends the release and rejects its version.
        by: Who answers.
        reason: Why.
        release_id: The release that asked, where the answer may come late.
        about: What it asked, likewise.

    Raises:
        RefusedError: Nothing is asked, or something else.
    """
    told = f"{by}: {reason}"

    def decide(record: ReleaseRecord) -> Change:
        return machine.answer(record, go_on=go_on, reason=told, release_id=release_id, about=about)

    event = ReleaseLog(bucket, pipeline).change(decide, by=by)
    assert event is not None
    return event


def freeze(bucket: Bucket, pipeline: str, *, until: datetime, by: str, reason: str) -> Event:
    """Hold releases of a pipeline until a moment: training goes on, and so does a way back."""
    wanted = Freeze(until=until, by=by, reason=reason)
    event = ReleaseLog(bucket, pipeline).change(
        lambda record: machine.freeze(record, wanted), by=by
    )
    assert event is not None
    return event


def thaw(bucket: Bucket, pipeline: str, *, by: str, reason: str) -> Event:
    """End a freeze early (raises RefusedError where there is none)."""
    event = ReleaseLog(bucket, pipeline).change(
        lambda record: machine.thaw(record, reason=reason), by=by
    )
    assert event is not None
    return event


def abort(bucket: Bucket, pipeline: str, *, by: str, reason: str) -> Event:
    """End the release under way (raises RefusedError where none is)."""
    event = ReleaseLog(bucket, pipeline).change(
        lambda record: machine.abort(record, reason=reason), by=by
    )
    assert event is not None
    return event


def rollback(
    bucket: Bucket,
    pipeline: str,
    *,
    by: str,
    reason: str,
    to_version: int | None = None,
    from_version: int | None = None,
    once: bool = False,
) -> RollbackState:
    """Leave the newest version that has traffic for an earlier one.

    What has the other colour meanwhile is ended first: a release that clients have not met yet is
    aborted, a version that takes the traffic but is still watched is left at once and rejected.

    Args:
        bucket: Bucket of the release log.
        pipeline: Name of the pipeline.
        by: Who asks.
        reason: Why; the version left is rejected with it.
        to_version: Where to; by default the newest earlier live version that is not rejected.
        from_version: The version to leave. Give it where the call may be repeated, so that the
            second time is refused and does not go back one further.
        once: ``by`` names a single roll-back: asked for again, it is the one in the log.

    Raises:
        RefusedError: Nothing to go back to, or ``from_version`` is not live.
    """
    log = ReleaseLog(bucket, pipeline)
    done = _made_before(log, by) if once else None
    if done and to_version in (None, done.to_version):
        return done
    left = done.from_version if done else None

    def decide(record: ReleaseRecord) -> Change:
        return machine.roll_back(
            record,
            by=by,
            reason=reason,
            to_version=to_version,
            from_version=from_version,
            left=left,
        )

    while True:
        try:
            event = log.change(decide, by=by)
        except machine.ReleaseUnderWayError:
            cleared = log.change(lambda r: machine.clear_the_way(r, reason=reason), by=by)
            met = cleared.change.reject if cleared else None
            # Who names the version to leave means that one, whatever stood in its way.
            left = left or (met if from_version in (None, met) else None)
            continue
        assert event is not None
        return _rolled_back(event)


def watch(bucket: Bucket, pipeline: str, release_id: str) -> ReleaseState:
    """How a release stands. Reads its few events and nothing else.

    Raises:
        RefusedError: The pipeline's log has no such release.
        UnavailableError: The object store is away.
    """
    log = ReleaseLog(bucket, pipeline)
    newest = None
    for event in log.events(_first_event(pipeline, release_id)):
        asked = event.record.request
        if asked is None or asked.id != release_id:
            break
        newest = event
        if not event.record.phase.under_way:
            break
    if newest is None:
        raise RefusedError(f"{pipeline}: the release log has no release {release_id!r}.")
    return _state(newest.record)


def is_known(bucket: Bucket, pipeline: str, version: int) -> bool:
    """Whether a release of this version was ever asked for."""
    return version in ReleaseLog(bucket, pipeline).record().releases


def record(bucket: Bucket, pipeline: str) -> ReleaseRecord:
    """The pipeline's record."""
    return ReleaseLog(bucket, pipeline).record()


def hosts(bucket: Bucket) -> tuple[HostStatus, ...]:
    """What every serving host last said."""
    return read_statuses(bucket)


def applied_on(bucket: Bucket, release_record: ReleaseRecord) -> dict[str, bool]:
    """Which hosts, of those in service and heard of lately, route as the record says."""
    now = datetime.now(UTC)
    return {
        host.host: host.pipelines[release_record.pipeline].route.follows(release_record)
        for host in read_statuses(bucket)
        if host.is_recent(now) and not host.draining and release_record.pipeline in host.pipelines
    }


def _require_admission(bucket: Bucket, pipeline: str, candidate: Candidate) -> None:
    gate = candidate.lineage.get("gate")
    if gate is None:
        raise RefusedError(
            f"{pipeline}: version {candidate.version} was registered without a gate, so nothing "
            "says that it may be released. Retrain its night."
        )
    admit(bucket, pipeline, gate, candidate.model)


def _supersede(log: ReleaseLog, candidate: Candidate, rollout: Rollout | None, by: str) -> bool:
    """End another release that is not live yet; whether that was asked for and possible."""
    if rollout is None or rollout.when_under_way != "supersede":
        return False

    def decide(record: ReleaseRecord) -> Change | None:
        asked = record.request
        if not record.phase.under_way or record.phase.is_live or asked is None:
            return None
        if asked.rolls_back is not None:
            # Nobody's nightly release ends a way back.
            return None
        return machine.abort(record, reason=f"superseded by version {candidate.version}")

    return log.change(decide, by=by) is not None


def _made_before(log: ReleaseLog, by: str) -> RollbackState | None:
    """The roll-back that this asker made before, from the newest events."""
    last = log.last()
    if last is None:
        return None
    events = log.events(max(1, last.number - _RECENT))
    own = [e for e in events if e.by == by and (e.change.request or e.change.reject is not None)]
    return _rolled_back(own[-1]) if own else None


def _rolled_back(event: Event) -> RollbackState:
    asked, champion = event.change.request, event.record.champion
    left = asked.rolls_back if asked else event.change.reject
    target = asked.candidate if asked else champion
    assert target is not None and left is not None
    return RollbackState(
        number=event.number,
        from_version=left,
        to_version=target.version,
        release_id=asked.id if asked else None,
        patience_seconds=_PATIENCE + (_WAITS * asked.timeout_seconds if asked else 0.0),
    )


def _first_event(pipeline: str, release_id: str) -> int:
    try:
        return int(release_id)
    except ValueError:
        raise RefusedError(
            f"{pipeline}: {release_id!r} is no release id; one looks like "
            f"{machine.release_id(12)!r}."
        ) from None


def _state(record: ReleaseRecord) -> ReleaseState:
    asked = record.request
    assert asked is not None
    return ReleaseState(
        id=asked.id,
        version=asked.candidate.version,
        phase=record.phase,
        number=record.number,
        ended=not record.phase.under_way,
        succeeded=record.phase is Phase.FINISHED,
        message=f"{record.pipeline} version {asked.candidate.version}: {_phase(record)}; "
        f"{record.verdict}{_held(record)}",
        question=record.question if record.phase.under_way else None,
    )


def _phase(record: ReleaseRecord) -> str:
    asked = record.request
    if record.phase is not Phase.CANARY or asked is None:
        return str(record.phase)
    return f"canary step {record.step + 1} of {len(asked.rollout.steps)}"


def _held(record: ReleaseRecord) -> str:
    freeze = record.freeze
    if freeze is None or not record.is_held(datetime.now(UTC)):
        return ""
    return f" (held by {freeze.by} until {freeze.until:%Y-%m-%d %H:%M} UTC: {freeze.reason})"
