"""What a serving host says about itself; each host writes its own object and no other."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, ValidationError

from nightshift.release.record import Colour, ReleaseRecord, Weights
from nightshift.release.traffic import Stretch, total
from nightshift.storage.s3 import AbsentError, Bucket

PREFIX = "serving/hosts/"
_HEARD_OF = timedelta(seconds=30)


class SlotState(StrEnum):
    """How far a host is with the version that a colour should hold."""

    EMPTY = "empty"
    PULLING = "pulling"
    LOADING = "loading"
    AVAILABLE = "available"
    """The model server serves it; golden requests have not all been answered yet."""
    VERIFIED = "verified"
    FAILED = "failed"


class SlotStatus(BaseModel):
    """One colour on one host."""

    model_config = ConfigDict(frozen=True)

    version: int | None = None
    state: SlotState = SlotState.EMPTY
    message: str = ""
    """Why it failed, or what it waits for."""


class RouteStatus(BaseModel):
    """What the host's Envoy was last seen to do with the pipeline's requests."""

    model_config = ConfigDict(frozen=True)

    weights: Weights = Weights()
    blue: int | None = None
    green: int | None = None
    """The version that each colour answers with; None where it takes no traffic."""
    message: str = ""
    """Why the route is not yet what the record says."""
    lacking_seconds: float = 0.0
    """For how long it has not been; 0 while it is."""

    def version(self, colour: Colour) -> int | None:
        """The version that a colour answers with."""
        return self.blue if colour is Colour.BLUE else self.green

    def follows(self, record: ReleaseRecord) -> bool:
        """Whether requests go where the record says."""
        held = [(colour, record.slot(colour)) for colour in record.colours]
        return self.weights == record.weights and all(
            slot is not None and self.version(colour) == slot.version for colour, slot in held
        )


class PipelineStatus(BaseModel):
    """One pipeline on one host."""

    model_config = ConfigDict(frozen=True)

    number: int = 0
    """The newest event that the host has read."""
    blue: SlotStatus = SlotStatus()
    green: SlotStatus = SlotStatus()
    route: RouteStatus = RouteStatus()
    release: str = ""
    """The release that :attr:`stretches` were counted in."""
    stretches: dict[str, Stretch] = {}
    """What requests showed on this host, by :attr:`ReleaseRecord.stretch`."""
    metrics_silent_seconds: float = 0.0
    """For how long Envoy's metrics could not be read; 0 while they can."""

    def slot(self, colour: Colour) -> SlotStatus:
        """One colour's state."""
        return self.blue if colour is Colour.BLUE else self.green

    def has_caught_up(self, record: ReleaseRecord) -> bool:
        """Whether the host does all that is asked of hosts which never were away.

        It routes as the record says, to servers that have the versions loaded and verified; and so
        has the idle one a candidate that is under way, which would wait for this host otherwise.
        """
        asked = record.request if record.phase.under_way else None
        needed = {*record.colours, *((asked.colour,) if asked else ())}
        return (
            self.number >= record.number
            and self.route.follows(record)
            and all(self._has_verified(colour, record) for colour in needed)
        )

    def _has_verified(self, colour: Colour, record: ReleaseRecord) -> bool:
        held, slot = record.slot(colour), self.slot(colour)
        return (
            held is not None and slot.version == held.version and slot.state is SlotState.VERIFIED
        )


class HostStatus(BaseModel):
    """One host."""

    model_config = ConfigDict(frozen=True)

    host: str
    beat: int
    """Grows with every write: whoever watches needs no clock in step with the host's."""
    at: datetime
    """The host's own clock, UTC; for people."""
    draining: bool = False
    """Out of service by a person's wish, or not yet caught up since; no step waits for it."""
    pipelines: dict[str, PipelineStatus] = {}

    def is_recent(self, now: datetime) -> bool:
        """Whether the host was heard of lately, if its clock is right; for people."""
        return now - self.at < _HEARD_OF


def counted(reports: Iterable[PipelineStatus | None], release: str) -> dict[str, Stretch]:
    """What hosts counted in one release, added up, by phase and step in their order."""
    mine = [report for report in reports if report and report.release == release]
    names = dict.fromkeys(name for report in mine for name in report.stretches)
    return {name: total(r.stretches[name] for r in mine if name in r.stretches) for name in names}


def write_status(bucket: Bucket, status: HostStatus) -> None:
    """Publish a host's status (raises UnavailableError)."""
    bucket.put(
        f"{PREFIX}{status.host}.json",
        status.model_dump_json().encode(),
        content_type="application/json",
    )


def read_statuses(bucket: Bucket) -> tuple[HostStatus, ...]:
    """The status of every host, in order of name (raises UnavailableError)."""
    found = (_read(bucket, item.key) for item in bucket.list(PREFIX))
    return tuple(status for status in found if status is not None)


def forget_host(bucket: Bucket, host: str) -> None:
    """Remove a host that was taken down for good; it comes back by writing its status again."""
    bucket.delete(f"{PREFIX}{host}.json")


def _read(bucket: Bucket, key: str) -> HostStatus | None:
    try:
        return HostStatus.model_validate_json(bucket.get(key).body)
    except (AbsentError, ValidationError):
        # Gone since it was listed, or in words of another version: nobody waits for it.
        return None
