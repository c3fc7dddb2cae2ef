"""The release machine: every transition of a release, as pure functions.

- :func:`request`, :func:`abort`, :func:`roll_back`: what people and Airflow may ask for.
- :func:`step`: what follows from what the hosts report.
- :func:`apply`: the record after a change. The log's records are made by it and nothing else.

What hosts must do follows from the record alone: hold ``blue`` and ``green``, verify what they
load, route by the weights. So a change carries no actions that could be lost with its messenger.

A progressive release grows here: phases between *verified* and *promoted* that move the weights
in steps, and one between *promoted* and *finished* that bakes.
"""

from __future__ import annotations

from datetime import datetime

from nightshift.errors import RefusedError, UnavailableError
from nightshift.release.candidate import Candidate
from nightshift.release.event import Change, EventKind
from nightshift.release.observation import HostView, Observation
from nightshift.release.record import HISTORY, Phase, ReleaseRecord, Request, Weights
from nightshift.release.status import SlotState

DEFAULT_TIMEOUT = 120.0
"""Seconds that a phase waits for hosts, unless the request says otherwise."""


class ReleaseUnderWayError(UnavailableError):
    """Another release of the pipeline is under way: the same request can succeed later."""


def release_id(number: int) -> str:
    """The name of the release that event ``number`` asks for."""
    return f"{number:08d}"


def known_release(record: ReleaseRecord, version: int) -> str | None:
    """The release of a version that need not be asked for again: under way, or live."""
    asked = record.request
    if record.phase.under_way and asked and asked.candidate.version == version:
        return asked.id
    live = record.champion
    return record.releases.get(version) if live and live.version == version else None


def request(
    record: ReleaseRecord,
    candidate: Candidate,
    *,
    by: str,
    reason: str,
    override: bool = False,
    timeout_seconds: float = DEFAULT_TIMEOUT,
) -> Change:
    """Ask for a release.

    Args:
        record: The pipeline's record; :func:`known_release` must have answered None.
        candidate: What to release.
        by: Who asks.
        reason: Why, for the log.
        override: Allow a version trained on older data than the live one.
        timeout_seconds: Longest time for each phase that waits for hosts.

    Raises:
        RefusedError: The version was rejected, or is older than the live one.
        ReleaseUnderWayError: Another release has not ended.
    """
    _refuse_rejected(record, candidate.version)
    live = record.champion
    if live and candidate.night < live.night and not override:
        raise RefusedError(
            f"{record.pipeline}: version {candidate.version} was trained on data up to "
            f"{candidate.night}, the live version {live.version} on data up to {live.night}. "
            "A newer night is not replaced by an older one; ask with override if you mean it.",
            version=candidate.version,
            night=str(candidate.night),
            live_night=str(live.night),
        )
    return _requested(record, candidate, by, reason, timeout_seconds, rolls_back=None)


def abort(record: ReleaseRecord, *, reason: str) -> Change:
    """End the release under way; one whose traffic has already moved is rolled back.

    Raises:
        RefusedError: No release is under way, or it is live already and nothing was before it.
    """
    if not record.phase.under_way:
        raise RefusedError(
            f"{record.pipeline}: no release is under way (the newest is {record.phase}); "
            "to leave the live version, roll back."
        )
    if record.phase is Phase.PROMOTED:
        return _undo_promotion(record, reason, {})
    return Change(kind=EventKind.ABORTED, reason=reason)


def roll_back(
    record: ReleaseRecord,
    *,
    by: str,
    reason: str,
    to_version: int | None = None,
    timeout_seconds: float = DEFAULT_TIMEOUT,
) -> Change:
    """Leave the live version for an earlier one, and never come back to it.

    Where the other colour still holds that version this is a change of routes. Where it does
    not, the version is staged and verified first, like any release.

    Args:
        record: The pipeline's record.
        by: Who asks.
        reason: Why, for the log; the version left is rejected with it.
        to_version: An earlier live version; by default the newest that is not rejected.
        timeout_seconds: Longest time for each phase, where it must be staged.

    Raises:
        RefusedError: There is nothing to go back to, or ``to_version`` is not it.
        ReleaseUnderWayError: A release is being staged on the other colour; abort it first.
    """
    live, target = _way_back(record, to_version)
    if record.phase.under_way and record.phase is not Phase.PROMOTED:
        raise _under_way(record)
    held = record.slot(record.idle)
    if held is not None and held.version == target.version:
        return Change(
            kind=EventKind.ROLLED_BACK, reason=reason, to=record.idle, reject=live.version
        )
    if record.phase is Phase.PROMOTED:
        raise _under_way(record)
    return _requested(record, target, by, reason, timeout_seconds, rolls_back=live.version)


def step(record: ReleaseRecord, observation: Observation, now: datetime) -> Change | None:
    """What follows from what the hosts report: the next change, or None while it must wait.

    A silent host is not waited for, and is named in the change. A host that failed says so of
    the *version* (damaged bytes, a failed load, wrong golden answers): the version is rejected.
    A host that is merely late ends the release without rejecting anything.
    """
    if not record.phase.under_way or record.request is None or not observation.listening:
        return None
    failures = _failures(record, observation)
    if failures:
        return _fail(record, failures)
    waiting = _waiting(record, observation)
    if not waiting:
        return _advance(record, observation)
    if _is_late(record, now):
        return _give_up(record, waiting)
    return None


def apply(record: ReleaseRecord, change: Change, *, number: int, at: datetime) -> ReleaseRecord:
    """The record after a change.

    Raises:
        pydantic.ValidationError: The change leads to a record that must never be.
    """
    after = _AFTER[change.kind](record, change)
    rejected = dict(record.rejected)
    if change.reject is not None:
        rejected[change.reject] = change.reason
    fields = {
        "rejected": rejected,
        **after,
        "number": number,
        "since": at,
        "verdict": change.reason,
    }
    # model_copy would skip the checks that make an impossible record an error.
    return ReleaseRecord.model_validate({**dict(record), **fields})


# --- What each kind of change does to a record -----------------------------------------------


def _apply_requested(record: ReleaseRecord, change: Change) -> dict[str, object]:
    asked = change.request
    assert asked is not None, "a requested event carries its request"
    return {
        "phase": Phase.REQUESTED,
        "request": asked,
        asked.colour.value: asked.candidate,
        "releases": {**record.releases, asked.candidate.version: asked.id},
    }


def _apply_staged(record: ReleaseRecord, change: Change) -> dict[str, object]:
    return {"phase": Phase.STAGED}


def _apply_verified(record: ReleaseRecord, change: Change) -> dict[str, object]:
    return {"phase": Phase.VERIFIED}


def _apply_promoted(record: ReleaseRecord, change: Change) -> dict[str, object]:
    asked = record.request
    assert asked is not None, "only a request is promoted"
    return {
        "phase": Phase.PROMOTED,
        "live": asked.colour,
        "weights": Weights.all_to(asked.colour),
        "history": (*record.history, asked.candidate)[-HISTORY:],
    }


def _apply_finished(record: ReleaseRecord, change: Change) -> dict[str, object]:
    return {"phase": Phase.FINISHED}


def _apply_aborted(record: ReleaseRecord, change: Change) -> dict[str, object]:
    # The candidate never took traffic: its memory is given back at once.
    return {"phase": Phase.ABORTED, record.idle.value: None}


def _apply_rolled_back(record: ReleaseRecord, change: Change) -> dict[str, object]:
    colour = change.to
    assert colour is not None, "a rolled_back event says where to"
    # The version left stays loaded: a host may still be moving its route away from it.
    return {"phase": Phase.ROLLED_BACK, "live": colour, "weights": Weights.all_to(colour)}


_AFTER = {
    EventKind.REQUESTED: _apply_requested,
    EventKind.STAGED: _apply_staged,
    EventKind.VERIFIED: _apply_verified,
    EventKind.PROMOTED: _apply_promoted,
    EventKind.FINISHED: _apply_finished,
    EventKind.ABORTED: _apply_aborted,
    EventKind.ROLLED_BACK: _apply_rolled_back,
}


# --- What hosts report ------------------------------------------------------------------------


def _failures(record: ReleaseRecord, observation: Observation) -> dict[str, str]:
    """Hosts on which the candidate itself failed, before it took traffic."""
    asked = record.request
    if asked is None or record.phase is Phase.PROMOTED:
        return {}
    version = asked.candidate.version
    aware = (host for host in observation.listening if _has_read(record, host))
    slots = ((host.name, host.slot(asked.colour)) for host in aware)
    return {
        name: slot.message
        for name, slot in slots
        if slot.version == version and slot.state is SlotState.FAILED
    }


def _waiting(record: ReleaseRecord, observation: Observation) -> dict[str, str]:
    """Hosts that have not done what the phase asks of them, each with what it says."""
    states = ((host.name, _lacks(record, host)) for host in observation.listening)
    return {name: lack for name, lack in states if lack is not None}


def _lacks(record: ReleaseRecord, host: HostView) -> str | None:
    asked = record.request
    assert asked is not None
    if record.phase is Phase.PROMOTED:
        return _route_lacks(record, host)
    if not _has_read(record, host):
        return "has not read the request yet"
    slot = host.slot(asked.colour)
    done = {SlotState.VERIFIED}
    if record.phase is Phase.REQUESTED:
        done.add(SlotState.AVAILABLE)
    if slot.version == asked.candidate.version and slot.state in done:
        return None
    return f"{slot.state} of version {slot.version}" + (f": {slot.message}" if slot.message else "")


def _has_read(record: ReleaseRecord, host: HostView) -> bool:
    """Whether a report can be about this release and not about an earlier one of the version."""
    assert record.request is not None
    return host.status is not None and host.status.number >= int(record.request.id)


def _route_lacks(record: ReleaseRecord, host: HostView) -> str | None:
    champion = record.champion
    assert champion is not None
    route = host.status.route if host.status else None
    if route and route.weights == record.weights and route.version == champion.version:
        return None
    return (route.message if route else "") or "its route has not moved yet"


def _advance(record: ReleaseRecord, observation: Observation) -> Change:
    asked = record.request
    assert asked is not None
    version, count = asked.candidate.version, len(observation.listening)
    everywhere = "on the host" if count == 1 else f"on all {count} hosts"
    kind, reason = {
        Phase.REQUESTED: (EventKind.STAGED, f"version {version} is loaded {everywhere}"),
        Phase.STAGED: (EventKind.VERIFIED, f"golden answers are right {everywhere}"),
        Phase.VERIFIED: (EventKind.PROMOTED, f"version {version} was verified {everywhere}"),
        Phase.PROMOTED: (EventKind.FINISHED, f"version {version} answers {everywhere}"),
    }[record.phase]
    # The version that a way back leaves is rejected the moment it is no longer live.
    reject = asked.rolls_back if kind is EventKind.PROMOTED else None
    if reject is not None:
        reason = f"rolled back to version {version}: {asked.reason}"
    return Change(kind=kind, reason=reason, reject=reject, left_out=observation.left_out)


def _fail(record: ReleaseRecord, failures: dict[str, str]) -> Change:
    assert record.request is not None
    version = record.request.candidate.version
    return Change(
        kind=EventKind.ABORTED,
        reason=f"version {version} failed: {_listed(failures)}",
        reject=version,
        failures=failures,
    )


def _is_late(record: ReleaseRecord, now: datetime) -> bool:
    assert record.request is not None and record.since is not None
    return (now - record.since).total_seconds() > record.request.timeout_seconds


def _give_up(record: ReleaseRecord, waiting: dict[str, str]) -> Change | None:
    assert record.request is not None
    limit = record.request.timeout_seconds
    reason = f"not {_goal(record.phase)} within {limit:g} s: {_listed(waiting)}"
    if record.phase is not Phase.PROMOTED:
        return Change(kind=EventKind.ABORTED, reason=reason, failures=waiting)
    try:
        return _undo_promotion(record, reason, waiting)
    except RefusedError:
        # A first release has nothing to go back to: going on waiting is all that is left.
        return None


def _undo_promotion(record: ReleaseRecord, reason: str, failures: dict[str, str]) -> Change:
    held = record.slot(record.idle)
    if held is None or held.version in record.rejected:
        raise RefusedError(
            f"{record.pipeline}: version {record.champion and record.champion.version} is live "
            "already and nothing was live before it, so there is nothing to go back to."
        )
    return Change(kind=EventKind.ROLLED_BACK, reason=reason, to=record.idle, failures=failures)


def _goal(phase: Phase) -> str:
    return {
        Phase.REQUESTED: "loaded",
        Phase.STAGED: "verified",
        Phase.VERIFIED: "promoted",
        Phase.PROMOTED: "routed to",
    }[phase]


def _listed(reports: dict[str, str]) -> str:
    return "; ".join(f"{host}: {text}" for host, text in sorted(reports.items()))


# --- What is refused --------------------------------------------------------------------------


def _requested(
    record: ReleaseRecord,
    candidate: Candidate,
    by: str,
    reason: str,
    timeout_seconds: float,
    *,
    rolls_back: int | None,
) -> Change:
    if record.phase.under_way:
        raise _under_way(record)
    asked = Request(
        id=release_id(record.number + 1),
        candidate=candidate,
        colour=record.idle,
        by=by,
        reason=reason,
        timeout_seconds=timeout_seconds,
        rolls_back=rolls_back,
    )
    return Change(kind=EventKind.REQUESTED, reason=reason, request=asked)


def _under_way(record: ReleaseRecord) -> ReleaseUnderWayError:
    assert record.request is not None
    return ReleaseUnderWayError(
        f"{record.pipeline}: the release of version {record.request.candidate.version} is under "
        f"way ({record.phase}). Wait for its end, or abort it.",
        release=record.request.id,
    )


def _refuse_rejected(record: ReleaseRecord, version: int) -> None:
    if version in record.rejected:
        raise RefusedError(
            f"{record.pipeline}: version {version} was rejected and is never live again: "
            f"{record.rejected[version]}. Retrain with force for a new version.",
            version=version,
            rejected=record.rejected[version],
        )


def _way_back(record: ReleaseRecord, to_version: int | None) -> tuple[Candidate, Candidate]:
    live = record.champion
    if live is None:
        raise RefusedError(f"{record.pipeline}: no version is live, so there is none to leave.")
    if to_version is None:
        if record.previous is None:
            raise RefusedError(
                f"{record.pipeline}: version {live.version} is live and no earlier live version "
                "is left to go back to. Release another version instead."
            )
        return live, record.previous
    _refuse_rejected(record, to_version)
    found = [c for c in record.history if c.version == to_version != live.version]
    if not found:
        known = sorted({c.version for c in record.history} - {live.version} - set(record.rejected))
        raise RefusedError(
            f"{record.pipeline}: version {to_version} is not an earlier live version; "
            f"those are {known or 'none'}. To release another version, ask for its release.",
            version=to_version,
        )
    return live, found[-1]
