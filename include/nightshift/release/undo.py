"""The change of routes that leaves a live version for the one still loaded beside it."""

from __future__ import annotations

from collections.abc import Mapping

from nightshift.errors import RefusedError
from nightshift.release.event import Change, EventKind
from nightshift.release.record import ReleaseRecord


def undo_promotion(
    record: ReleaseRecord,
    reason: str,
    *,
    failures: Mapping[str, str] | None = None,
    reject: int | None = None,
) -> Change:
    """Back to the colour that was live before.

    Raises:
        RefusedError: Nothing is loaded there, or what is was rejected.
    """
    held = record.slot(record.idle)
    if held is None or held.version in record.rejected:
        raise RefusedError(
            f"{record.pipeline}: version {record.champion and record.champion.version} is live "
            "already and nothing was live before it, so there is nothing to go back to."
        )
    return Change(
        kind=EventKind.ROLLED_BACK,
        reason=reason,
        to=record.idle,
        failures=dict(failures or {}),
        reject=reject,
    )
