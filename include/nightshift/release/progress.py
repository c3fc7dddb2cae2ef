"""What follows from what hosts and requests show: :func:`step`, the leader's whole mind.

A pure function of the record, the observation and the time. What hosts must do follows from the
record alone, so a change carries no actions that could be lost with its messenger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from nightshift.errors import RefusedError
from nightshift.release.analysis import Check, checks
from nightshift.release.event import Change, EventKind
from nightshift.release.observation import HostView, Observation
from nightshift.release.record import About, Phase, ReleaseRecord, Request
from nightshift.release.status import SlotState
from nightshift.release.traffic import Stretch
from nightshift.release.undo import undo_promotion


def step(record: ReleaseRecord, observation: Observation, now: datetime) -> Change | None:
    """The next change, or None while the release must wait.

    A silent or drained host is not waited for, and is named in the change. A host that failed says
    so of the *version* (damaged bytes, a failed load, wrong golden answers), and so do requests
    that it answered worse than the live version: the version is rejected. A host that is merely
    late, and metrics that cannot be read, end the release without rejecting anything.
    """
    if not record.phase.under_way:
        return _cool(record, now)
    if record.request is None or not observation.listening:
        return None
    failures = _failures(record, observation)
    if failures:
        return _fail(record, failures)
    if record.phase.is_judged:
        return _judge(record, record.request, observation, now)
    waiting = _waiting(record, observation)
    if not waiting:
        return _advance(record, observation, now)
    return _give_up(record, waiting) if _is_late(record, now) else None


def _cool(record: ReleaseRecord, now: datetime) -> Change | None:
    """Give the way back's memory free once it was kept warm long enough."""
    asked = record.request
    warm = asked.rollout.keep_warm_seconds if asked else None
    held = record.slot(record.idle)
    if warm is None or held is None or record.live is None or _elapsed(record, now) < warm:
        return None
    reason = f"version {held.version} was kept warm for {warm:g} s; a way back to it is staged now"
    return Change(kind=EventKind.COOLED, reason=reason)


# --- What hosts report ------------------------------------------------------------------------


def _failures(record: ReleaseRecord, observation: Observation) -> dict[str, str]:
    """Hosts on which the candidate itself failed."""
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
    if record.phase.is_live or record.phase is Phase.CANARY:
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
    route = host.status.route if host.status else None
    if route and route.follows(record):
        return None
    return (route.message if route else "") or "its route has not moved yet"


# --- What requests show -----------------------------------------------------------------------


def _judge(
    record: ReleaseRecord, asked: Request, observation: Observation, now: datetime
) -> Change | None:
    stretches = observation.stretches(asked.id)
    found = checks(stretches, asked.colour, asked.rollout)
    against = [check for check in found if check.condemns]
    if against:
        return _condemn(record, asked, against)
    waiting = {**_waiting(record, observation), **_blind(record, observation)}
    if waiting:
        return _give_up(record, waiting) if _lacks_for_long(asked, observation) else None
    if _elapsed(record, now) < lasts(record, asked):
        return None
    if record.question is None and record.is_held(now):
        return None
    lacking = _lacking(record, asked, stretches)
    if lacking and About.QUIET not in record.approved:
        return _wait_for_requests(record, asked, lacking, now)
    return _advance(record, observation, now)


def _condemn(record: ReleaseRecord, asked: Request, against: Sequence[Check]) -> Change:
    version = asked.candidate.version
    why = "; ".join(f"{check.rule}: {check.text}" for check in against)
    reason = f"version {version} was stopped in {record.stretch}: {why}"
    if not record.phase.is_live:
        return Change(kind=EventKind.ABORTED, reason=reason, reject=version)
    try:
        return undo_promotion(record, reason, reject=version)
    except RefusedError:
        # A first version has nothing to go back to: it is said, and it goes on serving.
        return Change(kind=EventKind.FINISHED, reason=f"{reason} (nothing to go back to)")


def _blind(record: ReleaseRecord, observation: Observation) -> dict[str, str]:
    """Hosts that cannot count what their requests show."""
    return {
        host.name: f"Envoy's metrics cannot be read for {host.status.metrics_silent_seconds:.0f} s"
        for host in observation.listening
        if host.status and host.status.metrics_silent_seconds
    }


def _lacks_for_long(asked: Request, observation: Observation) -> bool:
    """By the hosts' own clocks: a step may last for hours, and a restart within it is no end."""
    limit = asked.rollout.analysis.metrics_timeout_seconds
    reports = [host.status for host in observation.listening if host.status]
    return any(
        report.route.lacking_seconds > asked.timeout_seconds
        or report.metrics_silent_seconds > limit
        for report in reports
    )


def lasts(record: ReleaseRecord, asked: Request) -> float:
    """Seconds that a judged phase lasts at least; 0 for every other."""
    rollout = asked.rollout
    if not record.phase.is_judged:
        return 0.0
    if record.phase is Phase.CANARY:
        return rollout.steps[record.step].seconds
    return rollout.shadow.seconds if record.phase is Phase.SHADOW else rollout.bake_seconds


def _lacking(record: ReleaseRecord, asked: Request, stretches: Mapping[str, Stretch]) -> str:
    """What is missing before the phase can be judged, with count and goal; empty for nothing."""
    seen = stretches.get(record.stretch or "", Stretch())
    if record.phase is Phase.CANARY:
        goal = asked.rollout.steps[record.step].min_requests
        # Where clients are few, requests that were replayed to both versions stand in for theirs.
        count = max(seen.traffic.of(asked.colour).requests, seen.compared.pairs)
        return f"{count} of {goal} requests" if count < goal else ""
    if record.phase is Phase.SHADOW:
        goal = asked.rollout.shadow.min_pairs
        return f"{seen.compared.pairs} of {goal} compared requests" * (seen.compared.pairs < goal)
    return ""


def _wait_for_requests(
    record: ReleaseRecord, asked: Request, lacking: str, now: datetime
) -> Change | None:
    rollout = asked.rollout
    waited = _elapsed(record, now) - lasts(record, asked)
    if record.question is not None:
        return _unanswered(record, asked, now)
    if waited < rollout.patience_seconds:
        return None
    reason = f"too quiet to judge version {asked.candidate.version} in {record.stretch}: {lacking}"
    if rollout.when_quiet == "proceed":
        why = f"{reason}; goes on as declared (when_quiet)"
        return Change(kind=EventKind.APPROVED, about=About.QUIET, reason=why)
    if rollout.when_quiet == "abort":
        return Change(kind=EventKind.ABORTED, reason=reason)
    return Change(kind=EventKind.ASKED, about=About.QUIET, reason=f"{reason}; go on all the same?")


def _unanswered(record: ReleaseRecord, asked: Request, now: datetime) -> Change | None:
    """A question that nobody answers ends the release; nothing is held against the version."""
    limit = asked.rollout.answer_seconds
    if record.asked_at is None or (now - record.asked_at).total_seconds() < limit:
        return None
    reason = f"nobody answered within {limit:g} s: {record.verdict}"
    return Change(kind=EventKind.ABORTED, reason=reason)


# --- The next phase ---------------------------------------------------------------------------


def _advance(record: ReleaseRecord, observation: Observation, now: datetime) -> Change | None:
    asked = record.request
    assert asked is not None
    change = {
        Phase.REQUESTED: _stage,
        Phase.STAGED: _verify,
        Phase.PROMOTED: _bake_or_finish,
        Phase.BAKING: _finish,
    }.get(record.phase, _move_traffic)(record, asked, observation)
    if change.kind is EventKind.ASKED and record.question is not None:
        return _unanswered(record, asked, now)
    if record.is_held(now):
        return None
    return change.model_copy(
        update={"left_out": observation.left_out, "draining": observation.draining}
    )


def _stage(record: ReleaseRecord, asked: Request, observation: Observation) -> Change:
    reason = f"version {asked.candidate.version} is loaded {_everywhere(observation)}"
    return Change(kind=EventKind.STAGED, reason=reason)


def _verify(record: ReleaseRecord, asked: Request, observation: Observation) -> Change:
    reason = f"golden answers are right {_everywhere(observation)}"
    return Change(kind=EventKind.VERIFIED, reason=reason)


def _bake_or_finish(record: ReleaseRecord, asked: Request, observation: Observation) -> Change:
    seconds = asked.rollout.bake_seconds
    if not seconds or asked.rolls_back is not None:
        return _finish(record, asked, observation)
    reason = f"version {asked.candidate.version} takes all traffic; watched for {seconds:g} s"
    return Change(kind=EventKind.BAKED, reason=reason)


def _finish(record: ReleaseRecord, asked: Request, observation: Observation) -> Change:
    reason = f"version {asked.candidate.version} answers {_everywhere(observation)}"
    return Change(kind=EventKind.FINISHED, reason=reason)


def _move_traffic(record: ReleaseRecord, asked: Request, observation: Observation) -> Change:
    """From verified, shadow or a canary step to whatever the rollout says comes next."""
    rollout, version = asked.rollout, asked.candidate.version
    if record.live is not None and asked.rolls_back is None:
        if record.phase is Phase.VERIFIED and rollout.shadow.seconds:
            why = f"version {version} answers {rollout.shadow.sample:.0%} of the requests unseen"
            return Change(kind=EventKind.SHADOWED, reason=why)
        following = record.step + 1 if record.phase is Phase.CANARY else 0
        if following < len(rollout.steps):
            why = f"version {version} takes {rollout.steps[following].weight}% of the traffic"
            return Change(kind=EventKind.STEPPED, step=following, reason=why)
    if rollout.approve == "before_promotion" and About.PROMOTION not in record.approved:
        why = f"version {version} has passed all steps; may all traffic go to it?"
        return Change(kind=EventKind.ASKED, about=About.PROMOTION, reason=why)
    return _promote(record, asked, observation)


def _promote(record: ReleaseRecord, asked: Request, observation: Observation) -> Change:
    version = asked.candidate.version
    reason = f"version {version} was verified {_everywhere(observation)}"
    if record.phase.is_judged:
        reason = f"version {version} was no worse than the live version in {record.stretch}"
    # The version that a way back leaves is rejected the moment it is no longer live.
    if asked.rolls_back is not None:
        reason = f"rolled back to version {version}: {asked.reason}"
    return Change(kind=EventKind.PROMOTED, reason=reason, reject=asked.rolls_back)


def _everywhere(observation: Observation) -> str:
    count = len(observation.listening)
    where = "on the host" if count == 1 else f"on all {count} hosts"
    drained = ", ".join(observation.draining)
    return f"{where} in service (drained: {drained})" if drained else where


# --- Giving up --------------------------------------------------------------------------------


def _fail(record: ReleaseRecord, failures: dict[str, str]) -> Change:
    assert record.request is not None
    version = record.request.candidate.version
    reason = f"version {version} failed: {_listed(failures)}"
    if not record.phase.is_live:
        return Change(kind=EventKind.ABORTED, reason=reason, reject=version, failures=failures)
    try:
        return undo_promotion(record, reason, failures=failures, reject=version)
    except RefusedError:
        return Change(kind=EventKind.FINISHED, reason=f"{reason} (nothing to go back to)")


def _elapsed(record: ReleaseRecord, now: datetime) -> float:
    return (now - record.since).total_seconds() if record.since else 0.0


def _is_late(record: ReleaseRecord, now: datetime) -> bool:
    assert record.request is not None
    if record.question is not None or record.is_held(now):
        # It waits for a person; a server may well be restarted meanwhile.
        return False
    return _elapsed(record, now) > record.request.timeout_seconds


def _give_up(record: ReleaseRecord, waiting: dict[str, str]) -> Change | None:
    assert record.request is not None
    limit = record.request.timeout_seconds
    reason = f"not {_goal(record.phase)} within {limit:g} s: {_listed(waiting)}"
    if not record.phase.is_live:
        return Change(kind=EventKind.ABORTED, reason=reason, failures=waiting)
    try:
        return undo_promotion(record, reason, failures=waiting)
    except RefusedError:
        # A first release has nothing to go back to: going on waiting is all that is left.
        return None


def _goal(phase: Phase) -> str:
    return {
        Phase.REQUESTED: "loaded",
        Phase.STAGED: "verified",
        Phase.VERIFIED: "promoted",
        Phase.SHADOW: "compared",
    }.get(phase, "routed to")


def _listed(reports: dict[str, str]) -> str:
    return "; ".join(f"{host}: {text}" for host, text in sorted(reports.items()))
