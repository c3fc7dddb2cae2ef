"""Whether load balancers may send requests to this host: its Envoy's health check.

A drained host fails the check and goes on serving whatever still comes. Drained no longer, it fails
the check until it has caught up with the release log. Envoy forgets at its restart that it was to
fail; it is told again at the next look. The agent remembers on disk, so that neither its own
restart nor an object store that is away puts a drained host back into service.
"""

from __future__ import annotations

import logging
from pathlib import Path

import httpx

from nightshift.release.address import Address
from nightshift.release.files import write_atomically
from nightshift.release.host import Host
from nightshift.release.status import PipelineStatus

_log = logging.getLogger(__name__)
_FAILING = "DRAINING"
"""What Envoy says of itself at ``/ready`` while it was told to fail its health check."""


class Readiness:
    """One host's. One loop owns :meth:`look`; another may tell what is wanted.

    Args:
        state: The agent's own folder.
        admin: Envoy's administration address.
        host: What must have caught up.
    """

    def __init__(self, state: Path, admin: Address, host: Host) -> None:
        self._file = state / "draining"
        self._admin = admin
        self._host = host
        self._client = httpx.Client(timeout=2.0, trust_env=False)
        self._wanted: bool | None = None
        self._draining = self._file.exists()

    @property
    def draining(self) -> bool:
        """Whether the host is out of service: drained, or not yet caught up since."""
        return self._draining

    def drain(self) -> None:
        """The object store says that the host is to be out of service."""
        self._wanted = True

    def undrain(self) -> None:
        """The object store says that it need not be.

        To be called once the host has learnt the log as it was afterwards: only then can it tell
        whether it has caught up.
        """
        self._wanted = False

    def look(self) -> bool:
        """Make Envoy's health check so; whether the host went out of service or came back."""
        before = self._draining
        if self._wanted is not None:
            self._draining = self._wanted or (before and not self._has_caught_up())
        turned = self._draining != before
        if turned:
            _log.warning("drained" if self._draining else "caught up, in service again")
        self._tell_envoy()
        self._remember()
        return turned

    def _has_caught_up(self) -> bool:
        statuses = self._host.statuses()
        return all(
            statuses.get(name, PipelineStatus()).has_caught_up(record)
            for name, record in self._host.records().items()
        )

    def _tell_envoy(self) -> None:
        try:
            failing = self._client.get(f"http://{self._admin}/ready").text.strip() == _FAILING
            if self._draining and not failing:
                self._client.post(f"http://{self._admin}/healthcheck/fail")
            elif failing and not self._draining and self._wanted is not None:
                self._client.post(f"http://{self._admin}/healthcheck/ok")
        except httpx.HTTPError:
            # An Envoy that is away passes no health check; it is asked again at the next look.
            pass

    def _remember(self) -> None:
        if self._draining and not self._file.exists():
            write_atomically(self._file, "")
        elif not self._draining:
            self._file.unlink(missing_ok=True)
