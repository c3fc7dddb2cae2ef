"""Notice the process of a job that stands still, though it may not have died."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nightshift.training.job import Beat, Role, Task

SILENCE_SECONDS = 10.0
"""A process beats once a second: one that has been silent for so long is stopped or starved."""
STARTING_SECONDS = 120.0
"""Importing TensorFlow and meeting the others may take so long, whatever a step may take."""
_WORKING = frozenset({"training", "serving"})


@dataclass
class _Heard:
    beat: Beat
    at: float
    """When it was last heard."""
    advanced: float
    """When what it tells last changed."""


@dataclass(frozen=True)
class Stuck:
    """The process that holds all others up, and how that shows."""

    role: Role
    beat: Beat
    how: str


class Watchdog:
    """Takes every role's beats; says which of them is stuck.

    Args:
        roles: All processes of the job.
        timeout: Seconds without any progress that are still waited for
            (``training.progress_timeout_seconds``).
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        roles: Iterable[Role],
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timeout = timeout
        self._clock = clock
        now = clock()
        self._heard = {role: _Heard(Beat(phase="starting"), now, now) for role in roles}

    def hear(self, role: Role, beat: Beat) -> None:
        """Note one beat."""
        known = self._heard[role]
        now = self._clock()
        if beat != known.beat:
            known.advanced = now
        known.beat, known.at = beat, now

    def last(self, role: Role) -> Beat:
        """What a role told last."""
        return self._heard[role].beat

    def stuck(self) -> Stuck | None:
        """The process that holds the job up, or None while the job is well.

        Workers wait for each other, so when one stands still soon all do. The one to blame is
        silent (a stopped process does not even beat) or, where all still beat, furthest behind.
        """
        now = self._clock()
        awake = {r: h for r, h in self._heard.items() if h.beat.phase != "done"}
        silent = {r: h for r, h in awake.items() if now - h.at > self._limit(h)}
        waiting = {
            r: h
            for r, h in awake.items()
            if r.task is not Task.PARAMETER_SERVER and now - h.advanced > self._limit(h)
        }
        if not silent and not waiting:
            return None
        mute = {r: h for r, h in awake.items() if now - h.at > min(SILENCE_SECONDS, self.timeout)}
        suspects = silent or mute or waiting
        # Equally far, the one not heard of for longest: a stopped process no longer beats.
        role = min(
            suspects,
            key=lambda r: (suspects[r].beat.epoch, suspects[r].beat.step, suspects[r].at),
        )
        heard = suspects[role]
        if role in waiting and role not in mute:
            how = f"finished no step for {now - heard.advanced:.0f} s"
        else:
            how = f"has been silent for {now - heard.at:.0f} s"
        return Stuck(role, heard.beat, f"{how} (limit {self._limit(heard):g} s)")

    def accounted(self, roles: Iterable[Role], since: float) -> bool:
        """Whether all of these are known to live or to be silent: each was heard of after a moment
        of the clock, or should have been for :data:`SILENCE_SECONDS`."""
        now = self._clock()
        return all(
            heard.at > since or now - heard.at > SILENCE_SECONDS
            for heard in (self._heard[role] for role in roles)
            if heard.beat.phase in _WORKING
        )

    def silent(self) -> Stuck | None:
        """The process not heard of for longest, where it should have been: to be asked when another
        one failed, for the failure may be that this one no longer answers it."""
        now = self._clock()
        mute = {
            role: heard
            for role, heard in self._heard.items()
            if heard.beat.phase in _WORKING and now - heard.at > SILENCE_SECONDS
        }
        if not mute:
            return None
        role = min(mute, key=lambda each: mute[each].at)
        how = f"has been silent for {now - mute[role].at:.0f} s, and the others no longer wait"
        return Stuck(role, mute[role].beat, how)

    def _limit(self, heard: _Heard) -> float:
        working = heard.beat.phase in _WORKING
        return self.timeout if working else max(self.timeout, STARTING_SECONDS)
