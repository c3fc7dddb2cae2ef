"""The release log of one pipeline: its events in S3, appended one number at a time.

``releases/<pipeline>/events/<number>.json`` is written with ``If-None-Match: *``. That write is
the compare-and-swap: of two writers that read the same last event one gets the next number, the
other is told so and looks again. An event carries the record it led to, so the newest event is
all that a reader needs; the record can be folded again from the start (:func:`fold`).
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from nightshift.errors import NightshiftError, UnavailableError
from nightshift.release.event import Change, Event
from nightshift.release.projection import apply
from nightshift.release.record import ReleaseRecord
from nightshift.storage.s3 import AbsentError, Bucket

PREFIX = "releases/"
_ATTEMPTS = 20
_PARALLEL = 8


class LostRaceError(NightshiftError):
    """Another writer appended first: read the record again and decide again."""


class ReleaseLog:
    """The log of one pipeline. One instance may be used from several threads.

    Methods raise :class:`nightshift.errors.UnavailableError` where the object store is away.
    """

    def __init__(self, bucket: Bucket, pipeline: str) -> None:
        self.bucket = bucket
        self.pipeline = pipeline
        self._last: Event | None = None
        self._lock = threading.Lock()

    def last(self) -> Event | None:
        """The newest event. After the first call this costs one read of the next number."""
        event = self._last or self._newest()
        while event is not None:
            self._remember(event)
            following = self._read(event.number + 1)
            if following is None:
                return event
            event = following
        return None

    def record(self) -> ReleaseRecord:
        """The pipeline's record; the empty one before the first event."""
        last = self.last()
        return last.record if last else ReleaseRecord(pipeline=self.pipeline)

    def events(self, first: int = 1) -> Iterator[Event]:
        """All events from a number on, in order."""
        number = first
        while (event := self._read(number)) is not None:
            yield event
            number += 1

    def history(self) -> list[Event]:
        """All events, read side by side: a log of years has thousands."""
        last = self.last()
        with ThreadPoolExecutor(_PARALLEL) as pool:
            read = pool.map(self._read, range(1, last.number + 1 if last else 1))
            return [event for event in read if event is not None]

    def append(
        self, record: ReleaseRecord, change: Change, *, by: str, event_id: str | None = None
    ) -> Event:
        """Write the change that follows ``record`` as the next event.

        Args:
            record: What the change was decided on.
            change: What the machine allowed.
            by: Who changes it.
            event_id: Name of this write. Give the same one to write the same event again after
                a lost answer; by default a new one.

        Raises:
            LostRaceError: Another event has that number.
        """
        event = self._event(record, change, by, event_id or uuid.uuid4().hex)
        key = self._key(event.number)
        if not self.bucket.create(key, event.model_dump_json(indent=1).encode()):
            # Perhaps our own earlier try got through and only its answer was lost.
            there = self._read(event.number)
            if there is None or there.id != event.id:
                raise LostRaceError(
                    f"{self.pipeline}: event {event.number} of the release log was written by "
                    f"{there.by if there else 'another writer'} first."
                )
            event = there
        self._remember(event)
        return event

    def change(
        self,
        decide: Callable[[ReleaseRecord], Change | None],
        *,
        by: str,
        event_id: str | None = None,
    ) -> Event | None:
        """Decide on the newest record and append, again after every lost race.

        Args:
            decide: The machine's function; None means that nothing needs to change. What it
                raises passes through.
            by: Who changes it.
            event_id: As for :meth:`append`.

        Returns:
            The event, or None where ``decide`` wanted none.
        """
        for _ in range(_ATTEMPTS):
            record = self.record()
            change = decide(record)
            if change is None:
                return None
            try:
                return self.append(record, change, by=by, event_id=event_id)
            except LostRaceError:
                continue
        raise UnavailableError(
            f"{self.pipeline}: the release log changed {_ATTEMPTS} times while this was to be "
            "written; try again."
        )

    def _event(self, record: ReleaseRecord, change: Change, by: str, event_id: str) -> Event:
        number, at = record.number + 1, datetime.now(UTC)
        after = apply(record, change, number=number, at=at)
        return Event(id=event_id, number=number, at=at, by=by, change=change, record=after)

    def _newest(self) -> Event | None:
        keys = [item.key for item in self.bucket.list(self._folder)]
        return self._read(_number(keys[-1])) if keys else None

    def _read(self, number: int) -> Event | None:
        try:
            return Event.model_validate_json(self.bucket.get(self._key(number)).body)
        except AbsentError:
            return None

    def _remember(self, event: Event) -> None:
        with self._lock:
            if self._last is None or self._last.number < event.number:
                self._last = event

    @property
    def _folder(self) -> str:
        return f"{PREFIX}{self.pipeline}/events/"

    def _key(self, number: int) -> str:
        return f"{self._folder}{number:08d}.json"


def fold(pipeline: str, events: Iterable[Event]) -> ReleaseRecord:
    """The record made again from the changes alone; equal to the one in the last event."""
    record = ReleaseRecord(pipeline=pipeline)
    for event in events:
        record = apply(record, event.change, number=event.number, at=event.at)
    return record


def pipelines(bucket: Bucket) -> tuple[str, ...]:
    """Every pipeline that has a release log, sorted."""
    folders = (name.removeprefix(PREFIX).rstrip("/") for name in bucket.folders(PREFIX))
    return tuple(sorted(name for name in folders if name != CONTROLLER))


CONTROLLER = "controller"
"""A folder under ``releases/`` that is the leader's lease; no pipeline bears this name."""


def _number(key: str) -> int:
    return int(key.rsplit("/", 1)[1].removesuffix(".json"))
