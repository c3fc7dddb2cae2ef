"""What an agent's metrics tell beyond its own host: the log's events, drift, and every host.

Slow next to the other loops, and nothing waits for it: without it releases go on, unseen.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from nightshift.artifacts.store import ArtifactStore
from nightshift.errors import NightshiftError, UnavailableError
from nightshift.release.candidate import Candidate
from nightshift.release.event import Event, EventKind
from nightshift.release.log import ReleaseLog
from nightshift.release.record import ReleaseRecord
from nightshift.release.status import HostStatus, read_statuses
from nightshift.release.view import ReleaseView, seen_by
from nightshift.storage.s3 import Bucket

_log = logging.getLogger(__name__)

_LONG_GONE_SECONDS = 600.0
_DRIFT_RETRY_SECONDS = 60.0
DISTANCES = ("drift", "holdout_drift", "skew", "day_drift")
"""Kinds of distances that the statistics step measures, each ``<kind>/<column>``."""


@dataclass(frozen=True)
class Tally:
    """How often what happened in one pipeline's log, over the log's whole life.

    Attributes:
        number: The newest event counted.
        kinds: Events by kind.
        rejections: Events that rejected a version.
    """

    number: int = 0
    kinds: Mapping[EventKind, int] = field(default_factory=dict)
    rejections: int = 0

    def after(self, events: Iterable[Event]) -> Tally:
        """With these events, the next ones in the log, counted too."""
        found = list(events)
        return Tally(
            number=found[-1].number if found else self.number,
            kinds=Counter(self.kinds) + Counter(event.kind for event in found),
            rejections=self.rejections + sum(e.change.reject is not None for e in found),
        )


@dataclass(frozen=True)
class Drift:
    """How far the data of a version's night was from what it was held to.

    Attributes:
        version: The version.
        distances: By kind and column.
        warnings: What the night's data report warns of, counted.
    """

    version: int
    distances: Mapping[tuple[str, str], float]
    warnings: float = 0.0


@dataclass(frozen=True)
class Findings:
    """All that is known, by pipeline or by host.

    Attributes:
        tallies: Each log's events.
        drifts: The newest version's data, where its run measured any.
        silences: Seconds since each host's last sign of life; drained hosts may be silent. Only
            the leader listens.
        views: How the newest release's checks stand over all hosts. Only the leader looks.
    """

    tallies: Mapping[str, Tally] = field(default_factory=dict)
    drifts: Mapping[str, Drift] = field(default_factory=dict)
    silences: Mapping[str, float] = field(default_factory=dict)
    views: Mapping[str, ReleaseView] = field(default_factory=dict)


class Survey:
    """Looks again and again. One loop owns :meth:`look`; any thread may read :attr:`findings`.

    Args:
        bucket: Bucket of log, reports and artifacts.
        clock: Seconds that only grow.
    """

    def __init__(self, bucket: Bucket, clock: Callable[[], float] = time.monotonic) -> None:
        self._bucket = bucket
        self._clock = clock
        self._lock = threading.Lock()
        self._findings = Findings()
        self._heard: dict[str, tuple[int, float]] = {}
        self._no_drift: dict[str, tuple[int, float]] = {}

    @property
    def findings(self) -> Findings:
        """What the last look found."""
        with self._lock:
            return self._findings

    def look(self, records: Mapping[str, ReleaseRecord], *, leads: bool) -> None:
        """One look (raises UnavailableError).

        Args:
            records: What this host acts on, by pipeline.
            leads: Whether this agent is the one that listens to all hosts.
        """
        self._keep(tallies={n: self._tally(record) for n, record in records.items()})
        statuses = read_statuses(self._bucket) if leads else ()
        self._keep(
            silences=self._silences(statuses),
            views={n: seen_by(statuses, r) for n, r in records.items()} if leads else {},
        )
        drifts = {n: self._drift(n, record) for n, record in records.items()}
        self._keep(drifts={n: drift for n, drift in drifts.items() if drift is not None})

    def _keep(self, **found: object) -> None:
        with self._lock:
            self._findings = replace(self._findings, **found)  # type: ignore[arg-type]

    def _tally(self, record: ReleaseRecord) -> Tally:
        known = self.findings.tallies.get(record.pipeline)
        log = ReleaseLog(self._bucket, record.pipeline)
        if known is None:
            return Tally().after(log.history())
        return known.after(log.events(known.number + 1)) if known.number < record.number else known

    def _silences(self, statuses: Iterable[HostStatus]) -> dict[str, float]:
        now = self._clock()
        found = {status.host: status for status in statuses if not status.draining}
        for host, status in found.items():
            beat, _ = self._heard.get(host, (None, 0.0))
            if beat != status.beat:
                age = (datetime.now(UTC) - status.at).total_seconds()
                # Clocks differ by less: what a new leader finds so old is of a host long gone.
                gone = age if beat is None and age > _LONG_GONE_SECONDS else 0.0
                self._heard[host] = (status.beat, now - gone)
        self._heard = {host: heard for host, heard in self._heard.items() if host in found}
        return {host: now - since for host, (_, since) in self._heard.items()}

    def _drift(self, pipeline: str, record: ReleaseRecord) -> Drift | None:
        candidate = _newest(record)
        if candidate is None:
            return None
        known = self.findings.drifts.get(pipeline)
        if known is not None and known.version == candidate.version:
            return known
        version, since = self._no_drift.get(pipeline, (0, 0.0))
        if version == candidate.version and self._clock() - since < _DRIFT_RETRY_SECONDS:
            return None
        try:
            found = measured_drift(self._bucket, candidate)
        except UnavailableError:
            self._no_drift[pipeline] = (candidate.version, self._clock())
            raise
        except NightshiftError as error:
            _log.warning("%s: no word on drift: %s", pipeline, error.message)
            found = None
        if found is None:
            self._no_drift[pipeline] = (candidate.version, self._clock())
        return found


def measured_drift(bucket: Bucket, candidate: Candidate) -> Drift | None:
    """What the statistics of a version's night say; None where its run has none.

    Raises:
        DigestMismatchError: The artifact is not the one that the version was made from.
        UnavailableError: The object store is away, or does not let this agent read it.
    """
    ref = candidate.lineage.get("statistics")
    if ref is None:
        return None
    metrics = ArtifactStore(bucket).open(ref).manifest.metrics
    split = ((*name.partition("/")[::2], value) for name, value in metrics.items())
    return Drift(
        version=candidate.version,
        distances={(kind, column): v for kind, column, v in split if kind in DISTANCES},
        warnings=metrics.get("warnings", 0.0),
    )


def _newest(record: ReleaseRecord) -> Candidate | None:
    """The version whose data is newest: asked for, or held."""
    asked = record.request.candidate if record.request else None
    known = [candidate for candidate in (asked, record.blue, record.green) if candidate]
    return max(known, key=lambda candidate: (candidate.night, candidate.version), default=None)
