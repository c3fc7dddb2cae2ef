"""How far each of several parts is: written by the threads that work, read by the display."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    """How far a part is on its way up."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


@dataclass
class Part:
    """One line of the board."""

    name: str
    phase: Phase = Phase.WAITING
    began: float = 0.0
    seconds: float = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since it began, or that it took."""
        return time.monotonic() - self.began if self.phase is Phase.STARTING else self.seconds


@dataclass
class Board:
    """What is known of every part, read by the display while threads write it."""

    parts: dict[str, Part] = field(default_factory=dict)

    def begin(self, name: str) -> None:
        """A part has begun to start."""
        part = self.parts[name]
        part.began, part.phase = time.monotonic(), Phase.STARTING

    def end(self, name: str, phase: Phase) -> None:
        """A part is ready, or has failed."""
        part = self.parts[name]
        part.seconds, part.phase = time.monotonic() - part.began, phase
