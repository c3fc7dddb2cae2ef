"""What the release log means for one version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nightshift.artifacts.manifest import Manifest
from nightshift.lineage.deeds import deeds_of
from nightshift.release import machine, projection
from nightshift.release.event import Change, Event, EventKind
from nightshift.release.record import ReleaseRecord
from tests.unit.release.builders import START, candidate


class Log:
    """Events appended as the machine allows them."""

    def __init__(self) -> None:
        self.record = ReleaseRecord(pipeline="toy")
        self.events: list[Event] = []

    def append(self, change: Change, by: str) -> None:
        number = self.record.number + 1
        at = START + timedelta(minutes=number)
        self.record = projection.apply(self.record, change, number=number, at=at)
        event = Event(
            id=str(number), number=number, at=at, by=by, change=change, record=self.record
        )
        self.events.append(event)

    def release(self, version: int, by: str) -> None:
        asked = machine.request(self.record, candidate(version), by=by, reason="a good night")
        self.append(asked, by)
        for kind in (EventKind.STAGED, EventKind.VERIFIED, EventKind.PROMOTED, EventKind.FINISHED):
            self.append(Change(kind=kind, reason="hosts say so"), "host-1")


def said(version: int, log: Log) -> list[tuple[str, str]]:
    deeds = deeds_of(candidate(version), {}, log.events)
    return [(deed.by, deed.what) for deed in deeds if deed.event]


def test_a_release_is_told_from_its_request_to_its_replacement() -> None:
    log = Log()
    log.release(1, by="ada")
    log.release(2, by="grace")
    assert said(1, log) == [
        ("ada", "release requested"),
        ("host-1", "release staged"),
        ("host-1", "release verified"),
        ("host-1", "made it live"),
        ("host-1", "release finished"),
        ("host-1", "replaced it by version 2"),
    ]


def test_a_roll_back_is_told_of_both_versions() -> None:
    log = Log()
    log.release(1, by="ada")
    log.release(2, by="ada")
    log.append(machine.roll_back(log.record, by="joan", reason="Denver was wrong"), "joan")
    assert said(2, log)[-1] == ("joan", "rejected it (rolled_back)")
    assert said(1, log)[-1] == ("joan", "made it live")
    assert deeds_of(candidate(2), {}, log.events)[-1].why == "Denver was wrong"


def test_each_run_is_told_once_with_its_steps_in_order() -> None:
    def made(name: str, minute: int, by: str = "ada") -> Manifest:
        at = datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
        return Manifest(
            pipeline="toy", kind=name, key="k", attempt="a", files={}, created=at, by=by
        )

    chain = {
        "evaluate": made("evaluation", 4, by="grace"),
        "train": made("model", 2),
        "snapshot": made("snapshot", 1),
    }
    deeds = deeds_of(candidate(1), chain, [])
    assert [(deed.by, deed.what) for deed in deeds] == [
        ("ada", "ran snapshot, train"),
        ("grace", "ran evaluate"),
        ("unknown", "registered it"),
    ]
