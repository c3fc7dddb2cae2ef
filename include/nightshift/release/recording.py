"""Keeps a host's sampled requests as the pipelines ask: reads their plans, writes their files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from nightshift.errors import UnavailableError
from nightshift.release.recording_plan import RecordingPlan, read_plan
from nightshift.release.request_log import RequestLog
from nightshift.release.shadow import Shadow
from nightshift.storage.s3 import Bucket

_PLAN_SECONDS = 15.0
_LAST_SECONDS = 3.0


class Recording:
    """One host's.

    Args:
        bucket: Where the plans lie.
        log: What collects and writes; it must be what ``shadow`` gives every sample.
        shadow: What has requests sampled.
        pipelines: Names of the pipelines that this host serves.
    """

    def __init__(
        self,
        bucket: Bucket,
        log: RequestLog,
        shadow: Shadow,
        pipelines: Callable[[], Iterable[str]],
    ) -> None:
        self._bucket = bucket
        self._log = log
        self._shadow = shadow
        self._pipelines = pipelines
        self._read_at = -_PLAN_SECONDS

    def tick(self) -> None:
        """Write what is due; look at the plans now and then (raises UnavailableError)."""
        if time.monotonic() - self._read_at >= _PLAN_SECONDS:
            self._shadow.record(self._log.follow(self._plans()))
            self._read_at = time.monotonic()
        self._log.flush()

    def close(self) -> None:
        """Write what is left, within a few seconds; what the lake does not take by then is lost."""
        last = threading.Thread(target=self._flush_all, daemon=True)
        last.start()
        last.join(_LAST_SECONDS)

    def _plans(self) -> dict[str, RecordingPlan]:
        found = {name: read_plan(self._bucket, name) for name in self._pipelines()}
        return {name: plan for name, plan in found.items() if plan is not None}

    def _flush_all(self) -> None:
        try:
            while self._log.flush(at_once=True):
                pass
        except UnavailableError:
            pass
