"""The release controller: reads what hosts report, asks the machine, writes what follows.

It runs in every serving agent and acts in the one that holds the lease. It keeps nothing that
matters: the next leader reads the same log and the same reports and goes on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from nightshift.release.event import Event
from nightshift.release.lease import Lease
from nightshift.release.log import LostRaceError, ReleaseLog, pipelines
from nightshift.release.observation import HostView, Observation
from nightshift.release.progress import step
from nightshift.release.record import ReleaseRecord
from nightshift.release.status import HostStatus, read_statuses
from nightshift.storage.s3 import Bucket

_log = logging.getLogger(__name__)

DEFAULT_SILENT_AFTER = 10.0
# A status this much older than any plausible error of a clock is of a host long gone.
_LONG_GONE_SECONDS = 600.0


class Controller:
    """The controller of one agent. Not thread-safe: one loop owns it.

    Args:
        bucket: Bucket of the release log.
        host: Name of this host, for the log.
        lease: Leadership.
        silent_after: Seconds without a new report after which a host is left out.
        on_event: Called with each event written.
    """

    def __init__(
        self,
        bucket: Bucket,
        host: str,
        lease: Lease,
        *,
        silent_after: float = DEFAULT_SILENT_AFTER,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self._bucket = bucket
        self._by = f"controller on {host}"
        self._lease = lease
        self._hearing = Hearing(silent_after)
        self._on_event = on_event
        self._logs: dict[str, ReleaseLog] = {}
        self._led = False

    def tick(self) -> dict[str, ReleaseRecord] | None:
        """Move every release as far as the hosts' reports allow.

        Returns:
            Every pipeline's record, or None where another agent leads.

        Raises:
            UnavailableError: The object store is away.
        """
        leads = self._lease.hold()
        if leads != self._led:
            self._led = leads
            _log.info("%s: %s", self._by, "leads" if leads else "follows")
        if not leads:
            self._hearing.forget()
            return None
        records = {name: self._log_of(name).record() for name in pipelines(self._bucket)}
        if any(record.phase.under_way for record in records.values()):
            statuses = read_statuses(self._bucket)
            silent = self._hearing.silent(statuses)
            for name, record in records.items():
                records[name] = self._advance(record, _observe(name, statuses, silent))
        else:
            self._hearing.forget()
            for name, record in records.items():
                records[name] = self._advance(record, Observation())
        return records

    def _advance(self, record: ReleaseRecord, observation: Observation) -> ReleaseRecord:
        log = self._log_of(record.pipeline)
        while self._lease.held:
            change = step(record, observation, datetime.now(UTC))
            if change is None:
                break
            try:
                event = log.append(record, change, by=self._by)
            except LostRaceError:
                # Somebody asked, aborted or rolled back meanwhile; the next tick looks again.
                break
            record = event.record
            _log.info("%s: event %s %s: %s", log.pipeline, event.number, event.kind, event.reason)
            self._on_event(event)
        return record

    def _log_of(self, pipeline: str) -> ReleaseLog:
        return self._logs.setdefault(pipeline, ReleaseLog(self._bucket, pipeline))


class Hearing:
    """Tells silent hosts from living ones by whether their beat moves, on this clock alone."""

    def __init__(self, silent_after: float) -> None:
        self._silent_after = silent_after
        self._heard: dict[str, tuple[int, float]] = {}

    def forget(self) -> None:
        """Begin anew: a leader that did not listen for a while knows nothing."""
        self._heard.clear()

    def silent(self, statuses: Iterable[HostStatus]) -> frozenset[str]:
        """The hosts whose beat has not moved for too long."""
        now = time.monotonic()
        return frozenset(status.host for status in statuses if self._is_silent(status, now))

    def _is_silent(self, status: HostStatus, now: float) -> bool:
        beat, since = self._heard.get(status.host, (-1, now))
        if beat != status.beat:
            first = beat == -1
            age = (datetime.now(UTC) - status.at).total_seconds()
            since = now - self._silent_after - 1 if first and age > _LONG_GONE_SECONDS else now
            self._heard[status.host] = (status.beat, since)
        return now - since > self._silent_after


def _observe(pipeline: str, statuses: Iterable[HostStatus], silent: frozenset[str]) -> Observation:
    return Observation(
        tuple(
            HostView(s.host, s.host in silent, s.pipelines.get(pipeline), s.draining)
            for s in statuses
        )
    )
