"""What people and Airflow may ask of a release: each a pure function from a record to a change.

:mod:`nightshift.release.progress` says what follows from what hosts and requests show, and
:mod:`nightshift.release.projection` makes the record after a change. The three together are the
release machine.
"""

from __future__ import annotations

from nightshift.definition.rollout import Rollout
from nightshift.errors import RefusedError, UnavailableError
from nightshift.release.candidate import Candidate
from nightshift.release.event import Change, EventKind
from nightshift.release.record import About, Freeze, ReleaseRecord, Request
from nightshift.release.undo import undo_promotion

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
    rollout: Rollout | None = None,
) -> Change:
    """Ask for a release.

    Args:
        record: The pipeline's record; :func:`known_release` must have answered None.
        candidate: What to release.
        by: Who asks.
        reason: Why, for the log.
        override: Allow a version trained on older data than the live one.
        timeout_seconds: Longest time for each phase that waits for hosts.
        rollout: How it goes live; by default at once.

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
    return _requested(
        record,
        candidate,
        by=by,
        reason=reason,
        timeout_seconds=timeout_seconds,
        rollout=rollout,
    )


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
    if record.phase.is_live:
        return undo_promotion(record, reason)
    return Change(kind=EventKind.ABORTED, reason=reason)


def roll_back(
    record: ReleaseRecord,
    *,
    by: str,
    reason: str,
    to_version: int | None = None,
    from_version: int | None = None,
    left: int | None = None,
) -> Change:
    """Leave the newest version for an earlier one, and never come back to it.

    While a canary takes part of the traffic it is the canary that is left, for the live version.
    Otherwise the live one is left: where the other colour still holds the version to go to, that
    is a change of routes; where it does not, the version is staged and verified first, with no
    less time for it than the newest release had.

    Args:
        record: The pipeline's record.
        by: Who asks.
        reason: Why, for the log; the version left is rejected with it.
        to_version: An earlier live version; by default the newest that is not rejected.
        from_version: The version to leave, where the caller must be sure which.
        left: The version that this roll-back has already left by :func:`clear_the_way`: nothing
            is held against the one that is live meanwhile.

    Raises:
        RefusedError: There is nothing to go back to, or ``to_version`` is not it, or
            ``from_version`` is not there to be left.
        ReleaseUnderWayError: A release has the other colour; :func:`clear_the_way` first.
    """
    if left is not None:
        return _go_on_back(record, by=by, reason=reason, to_version=to_version, left=left)
    newest, live = record.newest, record.champion
    if newest and live and newest != live:
        asked_for = from_version in (None, newest.version) and to_version in (None, live.version)
        if asked_for:
            return Change(kind=EventKind.ABORTED, reason=reason, reject=newest.version)
    _require_live(record, from_version)
    live, target = _way_back(record, to_version)
    if record.phase.under_way and not record.phase.is_live:
        raise _under_way(record)
    held = record.slot(record.idle)
    if held is not None and held.version == target.version:
        return Change(
            kind=EventKind.ROLLED_BACK, reason=reason, to=record.idle, reject=live.version
        )
    return _staged_way_back(record, target, by=by, reason=reason, leaves=live.version)


def clear_the_way(record: ReleaseRecord, *, reason: str) -> Change | None:
    """End what stands in the way of a roll-back: a version that clients met is rejected with it.

    Returns:
        None where nothing is under way.

    Raises:
        RefusedError: The release is of the first version there ever was.
    """
    if not record.phase.under_way:
        return None
    newest, live, reason = record.newest, record.champion, f"ended for a roll-back: {reason}"
    if record.phase.is_live and live:
        return undo_promotion(record, reason, reject=live.version)
    met = newest.version if newest and newest != live else None
    return Change(kind=EventKind.ABORTED, reason=reason, reject=met)


def _go_on_back(
    record: ReleaseRecord, *, by: str, reason: str, to_version: int | None, left: int
) -> Change:
    """The second half of a roll-back whose first half has changed the live version."""
    if record.phase.under_way:
        raise _under_way(record)
    _, target = _way_back(record, to_version)
    return _staged_way_back(record, target, by=by, reason=reason, leaves=left)


def _staged_way_back(
    record: ReleaseRecord, target: Candidate, *, by: str, reason: str, leaves: int
) -> Change:
    limit = record.request.timeout_seconds if record.request else DEFAULT_TIMEOUT
    return _requested(
        record,
        target,
        by=by,
        reason=reason,
        timeout_seconds=max(DEFAULT_TIMEOUT, limit),
        rolls_back=leaves,
    )


def answer(
    record: ReleaseRecord,
    *,
    go_on: bool,
    reason: str,
    release_id: str | None = None,
    about: About | None = None,
) -> Change:
    """Answer the question that a release asks a person.

    Args:
        record: The pipeline's record.
        go_on: Yes; a no ends the release and rejects its version.
        reason: Why, for the log.
        release_id: The release that asked, where the answer may come late.
        about: What it asked, likewise.

    Raises:
        RefusedError: Nothing is asked, or something else.
    """
    asked = record.request
    is_it = asked is not None and release_id in (None, asked.id)
    if record.question is None or asked is None or not record.phase.under_way or not is_it:
        raise RefusedError(
            f"{record.pipeline}: no release asks anything (the newest is {record.phase}); look at "
            "who answered, or why it ended, in the release log."
        )
    if about not in (None, record.question):
        raise RefusedError(
            f"{record.pipeline}: the answer is to the question of {about}, and release {asked.id} "
            f"asks of {record.question} by now: {record.verdict} Answer that by itself."
        )
    if go_on:
        return Change(kind=EventKind.APPROVED, about=record.question, reason=reason)
    version = asked.candidate.version
    return Change(kind=EventKind.ABORTED, reason=f"a person said no: {reason}", reject=version)


def freeze(record: ReleaseRecord, freeze: Freeze) -> Change:
    """Hold releases: one that has not moved traffic yet waits, one that has goes on."""
    return Change(kind=EventKind.FROZEN, freeze=freeze, reason=freeze.reason)


def thaw(record: ReleaseRecord, *, reason: str) -> Change:
    """End a freeze (raises RefusedError where there is none)."""
    if record.freeze is None:
        raise RefusedError(f"{record.pipeline}: releases are not frozen.")
    return Change(kind=EventKind.THAWED, reason=reason)


# --- What is refused --------------------------------------------------------------------------


def _requested(
    record: ReleaseRecord,
    candidate: Candidate,
    *,
    by: str,
    reason: str,
    timeout_seconds: float,
    rollout: Rollout | None = None,
    rolls_back: int | None = None,
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
        rollout=rollout or Rollout(),
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


def _require_live(record: ReleaseRecord, version: int | None) -> None:
    live = record.champion.version if record.champion else None
    if version is not None and version != live:
        raise RefusedError(
            f"{record.pipeline}: version {version} is not live ({live} is), so there is nothing "
            "to roll back; look at the release log for who was first.",
            version=version,
            live=live,
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
