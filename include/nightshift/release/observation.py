"""What the machine sees of the hosts: one view per host, made from the host's own status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nightshift.release.record import Colour
from nightshift.release.status import PipelineStatus, SlotStatus, counted
from nightshift.release.traffic import Stretch


@dataclass(frozen=True)
class HostView:
    """One host as the leader sees it.

    Attributes:
        name: The host.
        silent: It has not been heard of for too long; nobody waits for it.
        draining: It is out of service by a person's wish; nobody waits for it either.
        status: What it last said about the pipeline; None where it has not said anything.
    """

    name: str
    silent: bool = False
    status: PipelineStatus | None = None
    draining: bool = False

    def slot(self, colour: Colour) -> SlotStatus:
        """What the host says about one colour's server."""
        return self.status.slot(colour) if self.status else SlotStatus()


@dataclass(frozen=True)
class Observation:
    """All hosts, for one pipeline, at one moment."""

    hosts: Sequence[HostView] = ()

    @property
    def listening(self) -> tuple[HostView, ...]:
        """The hosts that a step waits for."""
        return tuple(host for host in self.hosts if not host.silent and not host.draining)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the silent hosts; one that is drained may well be switched off."""
        names = (host.name for host in self.hosts if host.silent and not host.draining)
        return tuple(sorted(names))

    @property
    def draining(self) -> tuple[str, ...]:
        """Names of the hosts that are out of service."""
        return tuple(sorted(host.name for host in self.hosts if host.draining))

    def stretches(self, release: str) -> dict[str, Stretch]:
        """What all hosts saw in a release, a silent one's last report included."""
        return counted((host.status for host in self.hosts), release)
