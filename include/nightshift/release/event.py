"""One entry of the release log: what changed, who changed it, why, and the record it led to."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from nightshift.release.record import About, Colour, Freeze, ReleaseRecord, Request


class EventKind(StrEnum):
    """The transitions of a release. Each is one event."""

    REQUESTED = "requested"
    STAGED = "staged"
    VERIFIED = "verified"
    SHADOWED = "shadowed"
    """Its answers are compared from now on."""
    STEPPED = "stepped"
    """It takes the share of the next canary step."""
    PROMOTED = "promoted"
    BAKED = "baked"
    """Every host routes to it; it is watched from now on."""
    FINISHED = "finished"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"
    COOLED = "cooled"
    """The way back was kept warm long enough; its memory is given back."""
    ASKED = "asked"
    """A person is asked."""
    APPROVED = "approved"
    FROZEN = "frozen"
    THAWED = "thawed"


class Change(BaseModel):
    """A transition that the machine allows, before it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: EventKind
    reason: str
    """For a person: why it happened."""
    request: Request | None = None
    """With ``requested``: what is asked for."""
    to: Colour | None = None
    """With ``rolled_back``: the colour that takes the traffic again."""
    reject: int | None = None
    """With ``aborted`` and ``rolled_back``: the version that must never be live again."""
    failures: dict[str, str] = {}
    """What each host reported, where hosts are the reason."""
    step: int | None = None
    """With ``stepped``: the canary step that begins, from 0."""
    about: About | None = None
    """With ``asked`` and ``approved``: what."""
    freeze: Freeze | None = None
    """With ``frozen``."""
    left_out: tuple[str, ...] = ()
    """Silent hosts that the step did not wait for."""
    draining: tuple[str, ...] = ()
    """Drained hosts that it did not wait for."""


class Event(BaseModel):
    """A written transition."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Given by the writer, so that it knows its own event when an answer was lost."""
    number: int
    at: datetime
    """UTC."""
    by: str
    """A user of the command, an Airflow run, or the host that led the serving agents."""
    change: Change
    record: ReleaseRecord

    @property
    def kind(self) -> EventKind:
        """What happened."""
        return self.change.kind

    @property
    def reason(self) -> str:
        """Why."""
        return self.change.reason
