"""What requests show on this host, counted for each phase and step of a release.

Envoy's counters grow for ever and begin anew with Envoy. The meter keeps what came since a stretch
of a release began, over restarts of Envoy and of the agent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from nightshift.errors import UnavailableError
from nightshift.release.edge_metrics import EdgeMetrics, traffic_of
from nightshift.release.files import write_atomically
from nightshift.release.record import Colour, ReleaseRecord
from nightshift.release.traffic import Traffic

_log = logging.getLogger(__name__)


class Metered(BaseModel):
    """One pipeline's newest judged release on this host."""

    model_config = ConfigDict(frozen=True)

    release: str
    stretches: dict[str, Traffic] = {}
    seen: Traffic = Traffic()
    """Envoy's counters when they were last read."""
    memory: dict[Colour, int] = {}
    """Bytes that each server took when the release was first judged."""

    def growth(self, memory: Mapping[Colour, int]) -> Traffic:
        """What the servers take now, as a multiple of that."""

        def of(colour: Colour) -> float:
            first = self.memory.get(colour, 0)
            return memory.get(colour, 0) / first if first else 0.0

        return Traffic(blue_growth=of(Colour.BLUE), green_growth=of(Colour.GREEN))


class Meter:
    """Counts traffic by stretch. Any thread may read; :meth:`look` is called from one.

    Args:
        source: Envoy's counters.
        folder: Where counts survive the agent.
    """

    def __init__(self, source: EdgeMetrics, folder: Path) -> None:
        self._source = source
        self._folder = folder
        self._lock = threading.Lock()
        self._metered = _remembered(folder)
        self._unread_since: float | None = None

    def look(
        self, records: Iterable[ReleaseRecord], memory: Mapping[Colour, int] | None = None
    ) -> None:
        """Read the counters, where a record is in a phase that is judged by them."""
        judged = {record.pipeline: record for record in records if record.stretch}
        if not judged:
            self._unread_since = None
            return
        try:
            traffic = traffic_of(self._source.read(), judged)
        except UnavailableError as error:
            if self._unread_since is None:
                _log.warning("%s", error.message)
                self._unread_since = time.monotonic()
            return
        self._unread_since = None
        self._count(judged, traffic, memory or {})

    @property
    def silent_seconds(self) -> float:
        """For how long the counters could not be read; 0 while they can."""
        since = self._unread_since
        return time.monotonic() - since if since is not None else 0.0

    def of(self, pipeline: str) -> Metered | None:
        """What was counted in a pipeline's newest judged release."""
        with self._lock:
            return self._metered.get(pipeline)

    def _count(
        self,
        judged: Mapping[str, ReleaseRecord],
        traffic: Mapping[str, Traffic],
        memory: Mapping[Colour, int],
    ) -> None:
        for pipeline, record in judged.items():
            assert record.request is not None and record.stretch is not None
            known = self.of(pipeline)
            now = traffic[pipeline]
            if known is None or known.release != record.request.id:
                # What was counted before the release began is not about it.
                known = Metered(release=record.request.id, seen=now)
            known = known.model_copy(update={"memory": {**memory, **known.memory}})
            after = _counted(known, record.stretch, now + known.growth(memory))
            write_atomically(self._folder / f"{pipeline}.json", after.model_dump_json())
            with self._lock:
                self._metered[pipeline] = after


def _counted(known: Metered, stretch: str, now: Traffic) -> Metered:
    new = now.model_copy(
        update={
            "blue": now.blue.since(known.seen.blue),
            "green": now.green.since(known.seen.green),
        }
    )
    so_far = known.stretches.get(stretch, Traffic())
    return known.model_copy(
        update={"stretches": {**known.stretches, stretch: so_far + new}, "seen": now}
    )


def _remembered(folder: Path) -> dict[str, Metered]:
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = Metered.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            _log.error("%s cannot be read; its counts begin anew: %s", path, error)
    return found
