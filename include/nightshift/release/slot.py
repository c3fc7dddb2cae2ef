"""One colour of one pipeline on this host: brings up the version that it should hold.

Pull, place, tell the model server, wait until it is available, ask the golden requests; then
watch, because a server may be restarted under it. Each slot has a thread of its own, so that a
slow download holds up no route and no other pipeline.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from nightshift.artifacts.store import ArtifactStore
from nightshift.errors import BadDefinitionError, UnavailableError
from nightshift.release.candidate import Candidate
from nightshift.release.golden import check_golden
from nightshift.release.model_server import ModelServer, ServedState
from nightshift.release.placement import Placed, Placement, UnfitArtifactError
from nightshift.release.status import SlotState, SlotStatus

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_WATCH_SECONDS = 1.0
_RETRY_SECONDS = 2.0
_FAILED_RETRY_SECONDS = 30.0
# The server reads its file once a second. What it says of a version sooner than this after the
# file has changed may be about an earlier load of it: a failure, or one about to be unloaded.
_SETTLE_SECONDS = 2.5


class _ChangedError(Exception):
    """Something else is wanted meanwhile."""


class Slot:
    """Keeps one colour at the version that it is told to hold.

    Args:
        placement: Where the files go.
        store: Where they come from.
        server: The colour's model server.
        on_change: Called whenever :attr:`status` or :attr:`configured` changes.
    """

    def __init__(
        self,
        placement: Placement,
        store: ArtifactStore,
        server: ModelServer,
        on_change: Callable[[], None],
    ) -> None:
        self.placement = placement
        self._store = store
        self._server = server
        self._on_change = on_change
        self._condition = threading.Condition()
        self._wanted: Candidate | None = None
        self._configured: int | None = None
        self._configured_at = 0.0
        self._may_be_stale = False
        self._status = SlotStatus()
        name = f"slot-{placement.pipeline}-{placement.colour}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def status(self) -> SlotStatus:
        """How far it is."""
        with self._condition:
            return self._status

    @property
    def configured(self) -> int | None:
        """The version that the server's configuration file should name."""
        with self._condition:
            return self._configured

    @property
    def wanted(self) -> Candidate | None:
        """What it was told to hold."""
        with self._condition:
            return self._wanted

    def want(self, candidate: Candidate | None) -> None:
        """Say what the colour should hold; returns at once. The first call begins the work.

        Until then nothing is done: what lies on disk may be just what will be wanted.
        """
        with self._condition:
            first = not self._thread.ident
            if first:
                self._thread.start()
            elif candidate == self._wanted:
                return
            self._wanted = candidate
            if candidate is None:
                self._configured, self._status = None, SlotStatus()
            else:
                self._status = SlotStatus(version=candidate.version, state=SlotState.PULLING)
                if self.placement.remembered(candidate):
                    # After the agent's restart: its servers must not see an empty file first.
                    self._name_in_config(candidate, may_be_stale=True)
            self._condition.notify_all()
        self._on_change()

    def _run(self) -> None:
        while True:
            wanted = self.wanted
            try:
                if wanted is None:
                    self._prune(None)
                    self._pause(None, _WATCH_SECONDS * 10)
                else:
                    self._hold(wanted)
            except _ChangedError:
                continue
            except (UnavailableError, BadDefinitionError, OSError) as error:
                self._wait_out(wanted, str(error))
            except Exception as error:
                _log.exception("%s: unforeseen", self._name)
                self._wait_out(wanted, f"unforeseen error: {error!r}")

    def _hold(self, wanted: Candidate) -> None:
        try:
            placed = self._place(wanted)
            self._configure(wanted)
            self._await_available(wanted)
            self._verify(wanted, placed)
        except UnfitArtifactError as error:
            self._report(wanted, SlotState.FAILED, str(error))
            _log.error("%s: version %s failed: %s", self._name, wanted.version, error)
            self._pause(wanted, _FAILED_RETRY_SECONDS)
            return
        while self._server.status(self._pipeline, wanted.version).state is ServedState.AVAILABLE:
            self._prune(wanted.version)
            self._pause(wanted, _WATCH_SECONDS)
        _log.warning("%s: the server lost version %s", self._name, wanted.version)

    def _place(self, wanted: Candidate) -> Placed:
        placed = self.placement.remembered(wanted)
        if placed and self.placement.is_intact(wanted, placed):
            return placed
        self._report(wanted, SlotState.PULLING, "")
        placed = self.placement.pull(wanted, self._store)
        _log.info("%s: version %s is in place, digests checked", self._name, wanted.version)
        return placed

    def _configure(self, wanted: Candidate) -> None:
        before = self._server.status(self._pipeline, wanted.version)
        with self._condition:
            self._require(wanted)
            if self._configured != wanted.version:
                stale = before.in_memory or before.failed
                self._name_in_config(wanted, may_be_stale=stale)
        self._report(wanted, SlotState.LOADING, "")

    def _name_in_config(self, wanted: Candidate, *, may_be_stale: bool) -> None:
        self._configured = wanted.version
        self._configured_at = time.monotonic()
        self._may_be_stale = may_be_stale

    def _await_available(self, wanted: Candidate) -> None:
        while True:
            served = self._server.status(self._pipeline, wanted.version)
            age = time.monotonic() - self._configured_at
            settled = not self._may_be_stale or age > _SETTLE_SECONDS
            if settled and served.state is ServedState.AVAILABLE:
                break
            if settled and served.failed:
                raise UnfitArtifactError(f"the model server could not load it: {served.error}")
            self._report(wanted, SlotState.LOADING, f"the server says {served.state}")
            self._pause(wanted, _POLL_SECONDS)
        self._report(wanted, SlotState.AVAILABLE, "")

    def _verify(self, wanted: Candidate, placed: Placed) -> None:
        wrong = check_golden(self._server, self._pipeline, wanted.version, placed.golden)
        if wrong:
            raise UnfitArtifactError(wrong)
        self._report(wanted, SlotState.VERIFIED, "")
        _log.info("%s: version %s is verified", self._name, wanted.version)

    def _prune(self, keep: int | None) -> None:
        """Remove versions that the server no longer has in memory."""
        for version in self.placement.others(keep):
            if not self._server.status(self._pipeline, version).in_memory:
                self.placement.remove(version)
                _log.info("%s: version %s removed from disk", self._name, version)

    def _wait_out(self, wanted: Candidate | None, message: str) -> None:
        """Something outside the version is wrong: say so, and try again."""
        try:
            if wanted is not None:
                current = self.status.state
                waiting = SlotState.PULLING if current is SlotState.PULLING else SlotState.LOADING
                self._report(wanted, waiting, message)
            self._pause(wanted, _RETRY_SECONDS)
        except _ChangedError:
            pass

    def _report(self, wanted: Candidate, state: SlotState, message: str) -> None:
        status = SlotStatus(version=wanted.version, state=state, message=message)
        with self._condition:
            self._require(wanted)
            if status == self._status:
                return
            self._status = status
        self._on_change()

    def _pause(self, wanted: Candidate | None, seconds: float) -> None:
        with self._condition:
            self._require(wanted)
            self._condition.wait(seconds)
            self._require(wanted)

    def _require(self, wanted: Candidate | None) -> None:
        if self._wanted != wanted:
            raise _ChangedError

    @property
    def _pipeline(self) -> str:
        return self.placement.pipeline

    @property
    def _name(self) -> str:
        return f"{self.placement.pipeline} on {self.placement.colour}"
