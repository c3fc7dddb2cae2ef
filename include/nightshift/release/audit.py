"""Each change of a record as one line: who, when, from what to what, and why.

The release log is the audit: an event a change, appended by conditional writes, never edited. Here
it is read whole and held to itself: every record must follow from the one before by its own event's
change, so that an event that was overwritten, or is missing, is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from nightshift.release.event import Event
from nightshift.release.projection import apply
from nightshift.release.record import Colour, ReleaseRecord


class AuditLine(BaseModel):
    """One change."""

    model_config = ConfigDict(frozen=True)

    number: int
    at: datetime
    """UTC."""
    by: str
    """A user of the command, an Airflow run with its user, or the host that led."""
    change: str
    """The kind of event."""
    before: str
    after: str
    why: str
    problem: str = ""
    """Where the event does not follow from those before it."""


def audit(pipeline: str, events: Iterable[Event]) -> Iterator[AuditLine]:
    """The lines of a log, oldest first.

    Args:
        pipeline: Whose.
        events: As the log has them, from the first on.
    """
    record = ReleaseRecord(pipeline=pipeline)
    for event in events:
        yield AuditLine(
            number=event.number,
            at=event.at,
            by=event.by,
            change=event.kind,
            before=state(record),
            after=state(event.record),
            why=event.reason,
            problem=_problem(record, event),
        )
        record = event.record


def state(record: ReleaseRecord) -> str:
    """A record in a few words: its phase, and which version takes which share."""
    shares = [
        f"version {slot.version} {record.weights.of(colour)}%"
        for colour in Colour
        if record.weights.of(colour) and (slot := record.slot(colour)) is not None
    ]
    return f"{record.phase}, {' + '.join(shares) or 'nothing live'}"


def _problem(before: ReleaseRecord, event: Event) -> str:
    if event.number != before.number + 1:
        return f"event {event.number} follows event {before.number}: events are missing"
    try:
        expected = apply(before, event.change, number=event.number, at=event.at)
    except (ValidationError, AssertionError, KeyError):
        return "its change is not possible after the event before"
    return "" if expected == event.record else "its record does not follow from its change"
