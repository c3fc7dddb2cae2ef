"""Who did what to a version: ran its steps, approved, asked for its release, rolled it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from nightshift.artifacts.manifest import Manifest
from nightshift.release.candidate import Candidate
from nightshift.release.event import Event
from nightshift.release.record import ReleaseRecord

_UNKNOWN = "unknown"


class Deed(BaseModel):
    """One thing that was done, by whom, when and why."""

    model_config = ConfigDict(frozen=True)

    at: datetime | None
    """UTC; None where the record does not say."""
    by: str
    what: str
    why: str = ""
    event: int | None = None
    """Number of the release log's event."""


def deeds_of(
    candidate: Candidate, made: Mapping[str, Manifest], events: Sequence[Event]
) -> tuple[Deed, ...]:
    """All that the record says of a version, oldest first.

    Args:
        candidate: The version.
        made: Manifests of its chain by name.
        events: The pipeline's release log from its first event on.
    """
    ran = sorted(_ran(made), key=_moment)
    registered = Deed(at=None, by=candidate.by or _UNKNOWN, what="registered it")
    return (*ran, *_decided(candidate), registered, *_released(candidate.version, events))


def _moment(deed: Deed) -> datetime:
    assert deed.at is not None
    return deed.at


def _ran(made: Mapping[str, Manifest]) -> Iterator[Deed]:
    """What each run made of the chain, at the time of its first step."""
    by_run: dict[str, list[tuple[datetime, str]]] = {}
    for name, manifest in made.items():
        by_run.setdefault(manifest.by or _UNKNOWN, []).append((manifest.created, name))
    for by, steps in by_run.items():
        steps.sort()
        yield Deed(at=steps[0][0], by=by, what=f"ran {', '.join(name for _, name in steps)}")


def _decided(candidate: Candidate) -> Iterator[Deed]:
    """The person's word at the gate, where it asked for one."""
    decision = candidate.decision
    if decision is not None:
        what = f"{decision.kind} it"
        yield Deed(at=decision.at, by=decision.by, what=what, why=decision.reason)


def _released(version: int, events: Sequence[Event]) -> Iterator[Deed]:
    before = ReleaseRecord(pipeline="")
    for event in events:
        what = _what(version, before, event)
        if what:
            yield Deed(at=event.at, by=event.by, what=what, why=event.reason, event=event.number)
        before = event.record


def _what(version: int, before: ReleaseRecord, event: Event) -> str:
    """What an event means for a version; empty where it is none of its business."""
    request, now = event.record.request, event.record.champion
    was_live = before.champion is not None and before.champion.version == version
    is_live = now is not None and now.version == version
    if event.change.reject == version:
        return f"rejected it ({event.kind})"
    if was_live and not is_live:
        return f"replaced it by version {now.version}" if now else "took it out of service"
    if is_live and not was_live:
        return "made it live"
    if request is not None and request.candidate.version == version:
        return f"release {event.kind}"
    return ""
