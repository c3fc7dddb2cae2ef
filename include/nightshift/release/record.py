"""The release record: what one pipeline's two colours hold, and how far its release has come.

A record is a projection of the release log (see :mod:`nightshift.release.log`): nobody edits it.
It refuses to exist in a state that must never be, such as two live colours.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, model_validator

from nightshift.definition.rollout import Rollout
from nightshift.release.candidate import Candidate

HISTORY = 10
"""Live versions that a record remembers whole; the log itself remembers them all."""


class Colour(StrEnum):
    """The two sets of model servers: one is live, the other idle, by turns."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        """The opposite colour."""
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


class Phase(StrEnum):
    """How far the newest release has come."""

    IDLE = "idle"
    """Nothing was ever asked for."""
    REQUESTED = "requested"
    """Hosts pull the candidate and load it on the idle colour."""
    STAGED = "staged"
    """Every host has loaded it; golden requests are under way."""
    VERIFIED = "verified"
    """On every host its golden answers equal the trained model's."""
    SHADOW = "shadow"
    """It answers a sample of the live requests too; clients see none of its answers."""
    CANARY = "canary"
    """It takes a share of the traffic, step by step; the version before is still the live one."""
    PROMOTED = "promoted"
    """The candidate is live in the record; hosts move their routes."""
    BAKING = "baking"
    """It takes all traffic and is watched; the version before is one change of routes away."""
    FINISHED = "finished"
    """Every host routes to it. The version before stays loaded."""
    ABORTED = "aborted"
    """Ended before it was live; the live version was never touched."""
    ROLLED_BACK = "rolled_back"
    """The version before is live again."""

    @property
    def under_way(self) -> bool:
        """Whether a release is between its request and its end."""
        return self in _UNDER_WAY

    @property
    def is_live(self) -> bool:
        """Whether the release under way is of the live version."""
        return self in (Phase.PROMOTED, Phase.BAKING)

    @property
    def is_judged(self) -> bool:
        """Whether the phase ends by what requests showed."""
        return self in (Phase.SHADOW, Phase.CANARY, Phase.BAKING)


_UNDER_WAY = frozenset(
    {
        Phase.REQUESTED,
        Phase.STAGED,
        Phase.VERIFIED,
        Phase.SHADOW,
        Phase.CANARY,
        Phase.PROMOTED,
        Phase.BAKING,
    }
)


class Weights(BaseModel):
    """Share of the traffic that each colour takes, in percent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blue: int = 0
    green: int = 0

    @classmethod
    def all_to(cls, colour: Colour) -> Weights:
        """Everything to one colour."""
        return cls(blue=100, green=0) if colour is Colour.BLUE else cls(blue=0, green=100)

    @classmethod
    def split(cls, colour: Colour, share: int) -> Weights:
        """A share to one colour, the rest to the other."""
        return cls(**{colour.value: share, colour.other.value: 100 - share})

    def of(self, colour: Colour) -> int:
        """One colour's share."""
        return self.blue if colour is Colour.BLUE else self.green


class Freeze(BaseModel):
    """No release begins to move traffic before a moment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    until: datetime
    """UTC."""
    by: str
    reason: str


class About(StrEnum):
    """What a person is asked during a release."""

    QUIET = "quiet"
    """Whether to go on though requests are too few to judge by."""
    PROMOTION = "promotion"
    """Whether all traffic may go to the new version."""


class Request(BaseModel):
    """One release as it was asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    candidate: Candidate
    colour: Colour
    """Where the candidate goes: the colour that was idle when the release was asked for."""
    by: str
    reason: str
    timeout_seconds: float
    """Longest time for each phase that waits for hosts."""
    rolls_back: int | None = None
    """The version that this is a way back from; rejected for good once the candidate is live."""
    rollout: Rollout = Rollout()
    """How it goes live."""


class ReleaseRecord(BaseModel):
    """The state of one pipeline's releases after event ``number``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: str
    number: int = 0
    """The event that led here; 0 before the first."""
    phase: Phase = Phase.IDLE
    since: datetime | None = None
    """When this phase began (UTC)."""
    blue: Candidate | None = None
    green: Candidate | None = None
    live: Colour | None = None
    """The colour whose version answers for the pipeline; None before the first promotion."""
    weights: Weights = Weights()
    request: Request | None = None
    """The newest release, under way or ended."""
    step: int = 0
    """In phase canary: the step of the rollout, from 0."""
    question: About | None = None
    """What a person is being asked; the release waits for the answer."""
    asked_at: datetime | None = None
    """When a person was last asked (UTC)."""
    approved: frozenset[About] = frozenset()
    """What a person agreed to in the newest release."""
    freeze: Freeze | None = None
    """Holds releases before they move traffic; never a way back."""
    verdict: str = ""
    """Why the record is in its phase, in a sentence for a person."""
    rejected: dict[int, str] = {}
    """Versions that are never live again, each with the reason."""
    releases: dict[int, str] = {}
    """The newest release's id of every version ever asked for."""
    history: tuple[Candidate, ...] = ()
    """Versions that became live, oldest first, the last :data:`HISTORY` of them."""

    @model_validator(mode="after")
    def _is_possible(self) -> ReleaseRecord:
        total = self.weights.blue + self.weights.green
        if self.live is None:
            if total != 0:
                raise ValueError(f"weights {self.weights} without a live colour")
            return self
        champion = self.slot(self.live)
        if champion is None:
            raise ValueError(f"the live colour {self.live} holds nothing")
        if total != 100 or min(self.weights.blue, self.weights.green) < 0:
            raise ValueError(f"weights {self.weights} do not sum to 100")
        if champion.version in self.rejected:
            raise ValueError(f"version {champion.version} is live and rejected")
        if self.weights.of(self.live.other) and self.phase is not Phase.CANARY:
            raise ValueError(f"{self.live.other} takes traffic and is neither live nor a canary")
        for colour in Colour:
            held = self.slot(colour)
            if self.weights.of(colour) and held is None:
                raise ValueError(f"{colour} takes traffic and holds nothing")
            if self.weights.of(colour) and held and held.version in self.rejected:
                raise ValueError(f"{colour} takes traffic with version {held.version}: rejected")
        return self

    @property
    def colours(self) -> tuple[Colour, ...]:
        """The colours that take traffic."""
        return tuple(colour for colour in Colour if self.weights.of(colour))

    def slot(self, colour: Colour) -> Candidate | None:
        """What a colour holds, or is about to hold once its hosts have loaded it."""
        return self.blue if colour is Colour.BLUE else self.green

    @property
    def idle(self) -> Colour:
        """The colour that a release may change."""
        return self.live.other if self.live else Colour.BLUE

    @property
    def stretch(self) -> str | None:
        """Name of the time over which requests are counted now; None outside such phases."""
        if not self.phase.is_judged:
            return None
        return f"{self.phase}-{self.step + 1}" if self.phase is Phase.CANARY else str(self.phase)

    @property
    def champion(self) -> Candidate | None:
        """The live version."""
        return self.slot(self.live) if self.live else None

    @property
    def newest(self) -> Candidate | None:
        """The newest version that clients' requests reach: what a way back leaves."""
        exposed = self.phase in (Phase.SHADOW, Phase.CANARY) and self.request is not None
        return self.request.candidate if exposed and self.request else self.champion

    @property
    def previous(self) -> Candidate | None:
        """Where a roll-back goes: the newest earlier live version that is not rejected."""
        live = self.champion
        if live is None:
            return None
        barred = {*self.rejected, live.version}
        earlier = reversed(until(self.history, live.version))
        return next((c for c in earlier if c.version not in barred), None)

    def is_held(self, now: datetime) -> bool:
        """Whether a freeze holds the release: one that has not moved traffic yet, no way back."""
        waits = self.phase in (Phase.VERIFIED, Phase.SHADOW)
        leaves = self.request is not None and self.request.rolls_back is not None
        return self.freeze is not None and now < self.freeze.until and waits and not leaves


def until(history: tuple[Candidate, ...], version: int) -> tuple[Candidate, ...]:
    """The part of a history up to a version's newest turn; all of it where it had none."""
    turns = [index for index, known in enumerate(history) if known.version == version]
    return history[: turns[-1] + 1] if turns else history
