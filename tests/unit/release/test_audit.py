"""The log as lines, and held to itself."""

from __future__ import annotations

from datetime import UTC, datetime

from nightshift.release.audit import audit
from nightshift.release.event import Change, Event, EventKind
from nightshift.release.projection import apply
from nightshift.release.record import ReleaseRecord, Weights
from tests.unit.release.builders import asked, released


def event(before: ReleaseRecord, change: Change, by: str = "ada") -> Event:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    after = apply(before, change, number=before.number + 1, at=at)
    return Event(id="i", number=after.number, at=at, by=by, change=change, record=after)


def log() -> list[Event]:
    empty = ReleaseRecord(pipeline="flights")
    request = asked(empty, 1).request
    first = event(empty, Change(kind=EventKind.REQUESTED, reason="a good night", request=request))
    aborted = event(first.record, Change(kind=EventKind.ABORTED, reason="not tonight"), by="grace")
    return [first, aborted]


def test_a_line_says_who_when_from_what_to_what_and_why() -> None:
    first, second = audit("flights", log())
    assert (first.by, first.change, first.why) == ("ada", "requested", "a good night")
    assert first.before == "idle, nothing live"
    assert first.after == second.before == "requested, nothing live"
    assert second.by == "grace" and second.after == "aborted, nothing live"
    assert not first.problem and not second.problem


def test_a_missing_event_is_told() -> None:
    (line,) = audit("flights", log()[1:])
    assert line.problem == "event 2 follows event 0: events are missing"


def test_an_overwritten_record_is_told() -> None:
    first, second = log()
    live = released(1)
    forged = second.model_copy(
        update={"record": live.model_copy(update={"number": 2, "weights": Weights(blue=100)})}
    )
    lines = list(audit("flights", [first, forged]))
    assert lines[1].problem == "its record does not follow from its change"
    assert lines[1].after == f"{live.phase}, version 1 100%"
