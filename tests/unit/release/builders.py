"""Short ways to say what the release tests are about."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.release import machine, progress, projection
from nightshift.release.candidate import Candidate
from nightshift.release.event import Change
from nightshift.release.observation import HostView, Observation
from nightshift.release.record import Colour, Phase, ReleaseRecord, Weights
from nightshift.release.status import PipelineStatus, RouteStatus, SlotState, SlotStatus

START = datetime(2026, 1, 1, tzinfo=UTC)


def candidate(version: int, night: date | None = None) -> Candidate:
    """A registered version; a higher version has a later night unless another is given."""
    return Candidate(
        version=version,
        night=night or date(2026, 1, 1) + timedelta(days=version),
        model=ArtifactRef(kind="model", key=f"k{version}", uri=f"s3://b/k{version}", digest="d"),
    )


def follow(record: ReleaseRecord, change: Change, *, seconds: float = 0.0) -> ReleaseRecord:
    """The record after a change made ``seconds`` after :data:`START`."""
    at = START + timedelta(seconds=seconds)
    return projection.apply(record, change, number=record.number + 1, at=at)


def asked(record: ReleaseRecord, version: int) -> ReleaseRecord:
    """The record after a request."""
    return follow(
        record, machine.request(record, candidate(version), by="test", reason="a good night")
    )


def host(
    record: ReleaseRecord,
    *,
    name: str = "one",
    state: SlotState = SlotState.VERIFIED,
    message: str = "",
    routed: bool = True,
    silent: bool = False,
    draining: bool = False,
) -> HostView:
    """A host whose colours hold what the record says, the candidate in the given state."""

    def slot(colour: Colour) -> SlotStatus:
        held = record.slot(colour)
        mine = record.request is not None and colour is record.request.colour
        return SlotStatus(
            version=held.version if held else None,
            state=state if mine else SlotState.VERIFIED,
            message=message,
        )

    return HostView(
        name,
        silent,
        PipelineStatus(
            number=record.number,
            blue=slot(Colour.BLUE),
            green=slot(Colour.GREEN),
            route=RouteStatus(weights=record.weights if routed else Weights()).model_copy(
                update={c.value: slot(c).version for c in record.colours if routed}
            ),
        ),
        draining,
    )


def seen(*hosts: HostView) -> Observation:
    """What the leader sees."""
    return Observation(hosts)


def stepped(record: ReleaseRecord, *, seconds: float = 1.0) -> ReleaseRecord:
    """The record once one obedient host has done everything that is asked of it."""
    while change := progress.step(record, seen(host(record)), START + timedelta(seconds=seconds)):
        record = follow(record, change, seconds=seconds)
    return record


def promoted(record: ReleaseRecord, version: int) -> ReleaseRecord:
    """The record in which a version has just become live."""
    record = asked(record, version)
    while record.phase is not Phase.PROMOTED:
        change = progress.step(record, seen(host(record)), START)
        assert change is not None
        record = follow(record, change)
    return record


def released(*versions: int) -> ReleaseRecord:
    """The record after these versions were released one after the other."""
    record = ReleaseRecord(pipeline="flights")
    for version in versions:
        record = stepped(asked(record, version))
    return record
