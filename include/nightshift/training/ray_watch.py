"""The actor that hears every worker of a Ray job, and says which of them is at fault."""

from __future__ import annotations

from nightshift.errors import StepError
from nightshift.training.job import Beat, Job, Role
from nightshift.training.ray_transcript import Lost
from nightshift.training.watchdog import Watchdog


class Watch:
    """Lives beside the driver, so that no worker's node takes it along.

    Args:
        job: The job.
    """

    def __init__(self, job: Job) -> None:
        self._roles = job.roles
        self._dog = Watchdog(job.roles, job.training.progress_timeout_seconds)
        self._nodes: dict[Role, str] = {}
        self._broken: dict[Role, str] = {}

    def join(self, role: Role, node: str) -> None:
        """Note on which node (its address) a role's process runs."""
        self._nodes[role] = node

    def hear(self, role: Role, beat: Beat) -> None:
        """Note a worker's beat."""
        self._dog.hear(role, beat)

    def broke(self, role: Role, how: str) -> None:
        """Note that a worker ends by an exception that it did not foresee."""
        self._broken.setdefault(role, how)

    def foreseen(self) -> StepError | None:
        """The error that a worker foresaw, if one did."""
        beats = (self._dog.last(role) for role in self._roles)
        return next((beat.error for beat in beats if beat.error), None)

    def stuck(self) -> Lost | None:
        """The worker that stands still, if one does."""
        stuck = self._dog.stuck()
        return self.lost(stuck.role, stuck.how) if stuck else None

    def broken(self) -> Lost | None:
        """The worker that was first to break, if one did."""
        return next((self.lost(role, how) for role, how in self._broken.items()), None)

    def lost(self, role: Role, how: str) -> Lost:
        """What is known of a role, for the person who reads how it was lost."""
        node = self._nodes.get(role)
        where = f"on node {node} " if node else ""
        return Lost(role=role, how=f"{where}{how}", beat=self._dog.last(role))
