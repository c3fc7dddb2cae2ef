"""The actor that hears every worker of a Ray job, and says which of them is at fault."""

from __future__ import annotations

import time
from collections.abc import Callable

from nightshift.errors import StepError
from nightshift.training.job import Beat, Job, Role
from nightshift.training.ray_transcript import Lost
from nightshift.training.watchdog import Watchdog

_SILENT_SECONDS = 3.0
"""A worker beats once a second: of two that lost each other, the silent one is to blame."""


class Watch:
    """Lives beside the driver, so that no worker's node takes it along.

    Args:
        job: The job.
        clock: Seconds that only go forward.
    """

    def __init__(self, job: Job, clock: Callable[[], float] = time.monotonic) -> None:
        self.job = job
        self._clock = clock
        self._roles = job.roles
        self._timeout = job.training.progress_timeout_seconds
        # Until all have joined: the cluster may have no room for a while (Ray Train waits for
        # one timeout), then processes start.
        self._dog = Watchdog(job.roles, 2 * self._timeout, clock)
        self._nodes: dict[Role, str] = {}
        self._heard = dict.fromkeys(job.roles, clock())
        self._broken: dict[Role, str] = {}
        self._lonely: dict[Role, str] = {}

    def join(self, role: Role, node: str) -> None:
        """Note on which node (its address) a role's process runs."""
        self._nodes[role] = node
        if len(self._nodes) == len(self._roles):
            self._dog = Watchdog(self._roles, self._timeout, self._clock)

    def hear(self, role: Role, beat: Beat) -> None:
        """Note a worker's beat."""
        self._heard[role] = self._clock()
        self._dog.hear(role, beat)

    def broke(self, role: Role, how: str) -> None:
        """Note that a worker ends by an exception that it did not foresee."""
        self._broken.setdefault(role, how)

    def lonely(self, role: Role, how: str) -> None:
        """Note that a worker lost touch with another one; it cannot say with which."""
        self._heard[role] = self._clock()
        self._lonely.setdefault(role, how)

    def foreseen(self) -> StepError | None:
        """The error that a worker foresaw, if one did."""
        beats = (self._dog.last(role) for role in self._roles)
        return next((beat.error for beat in beats if beat.error), None)

    def stuck(self) -> Lost | None:
        """The worker that stands still, if one does."""
        stuck = self._dog.stuck()
        return self.lost(stuck.role, stuck.how) if stuck else None

    def broken(self) -> Lost | None:
        """The worker to blame for exceptions, if there were any."""
        if self._broken:
            return self.lost(*next(iter(self._broken.items())))
        if not self._lonely:
            return None
        first, how = next(iter(self._lonely.items()))
        others = [role for role in self._roles if role not in self._lonely]
        longest = min(others, key=lambda role: self._heard[role], default=first)
        silence = self._clock() - self._heard[longest]
        if longest == first or silence < _SILENT_SECONDS:
            return self.lost(first, f"lost touch with the others ({how})")
        return self.lost(longest, f"is silent for {silence:.0f} s, {first} lost it ({how})")

    def lost(self, role: Role, how: str) -> Lost:
        """What is known of a role, for the person who reads how it was lost."""
        node = self._nodes.get(role)
        where = f"on node {node} " if node else ""
        return Lost(role=role, how=f"{where}{how}", beat=self._dog.last(role))
