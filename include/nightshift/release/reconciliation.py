"""Bring a roll-back that one host made by itself into the release log."""

from __future__ import annotations

import logging

from nightshift.release import machine
from nightshift.release.event import Change
from nightshift.release.log import ReleaseLog
from nightshift.release.memory import PendingRollback
from nightshift.release.record import ReleaseRecord

_log = logging.getLogger(__name__)


def reconcile_rollback(log: ReleaseLog, rollback: PendingRollback, host: str) -> ReleaseRecord:
    """Append the roll-back, unless the log has left that version already.

    A release that is being staged meanwhile is aborted first: it takes the colour that the
    roll-back goes to.

    Returns:
        The log's record afterwards.

    Raises:
        UnavailableError: The object store is away; call again later.
        RefusedError: The log no longer allows it.
    """
    by = f"{rollback.by} on {host}"

    def abort(record: ReleaseRecord) -> Change | None:
        staging = record.phase.under_way and not record.phase.is_live
        if not staging or not _is_champion(record, rollback):
            return None
        return machine.abort(record, reason=f"aborted for a roll-back: {rollback.reason}")

    def roll_back(record: ReleaseRecord) -> Change | None:
        if not _is_there_to_leave(record, rollback):
            return None
        return machine.roll_back(
            record,
            by=by,
            reason=rollback.reason,
            to_version=rollback.to_version,
            from_version=rollback.from_version,
        )

    log.change(abort, by=by)
    event = log.change(roll_back, by=by, event_id=rollback.id)
    if event is None:
        _log.info("%s: the log has left version %s already", log.pipeline, rollback.from_version)
    else:
        _log.info("%s: local roll-back is event %s", log.pipeline, event.number)
    return log.record()


def _is_champion(record: ReleaseRecord, rollback: PendingRollback) -> bool:
    return record.champion is not None and record.champion.version == rollback.from_version


def _is_there_to_leave(record: ReleaseRecord, rollback: PendingRollback) -> bool:
    return record.newest is not None and record.newest.version == rollback.from_version
