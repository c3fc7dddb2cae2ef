"""Optuna's journal in S3: any machine goes on with a search that another one began.

``<prefix>/<number>.json`` is written with ``If-None-Match: *``, as the release log's events are:
of two writers one gets the number and the other reads on and takes the next.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from nightshift.storage.s3 import AbsentError, Bucket


class S3Journal(BaseJournalBackend):
    """The journal below one prefix. Use it from one thread.

    Args:
        bucket: Where it lies.
        prefix: Without a slash at its end.

    Methods raise :class:`nightshift.errors.UnavailableError` where the object store is away.
    """

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self.bucket, self.prefix = bucket, prefix
        self._logs: list[dict[str, Any]] = []
        self._objects = 0

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """All logs from a number on, what others wrote meanwhile included."""
        self._catch_up()
        yield from self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write logs as the next object, after those that others wrote meanwhile."""
        own = {"id": uuid.uuid4().hex, "logs": logs}
        body = json.dumps(own).encode()
        while not self.bucket.create(self._key(self._objects + 1), body):
            # Perhaps our own earlier try got through and only its answer was lost.
            if self._next().get("id") == own["id"]:
                return
        self._take(own)

    def _catch_up(self) -> None:
        try:
            while True:
                self._next()
        except AbsentError:
            return

    def _next(self) -> dict[str, Any]:
        there: dict[str, Any] = self.bucket.get_json(self._key(self._objects + 1))
        self._take(there)
        return there

    def _take(self, written: dict[str, Any]) -> None:
        self._logs.extend(written["logs"])
        self._objects += 1

    def _key(self, number: int) -> str:
        return f"{self.prefix}/{number:06d}.json"
