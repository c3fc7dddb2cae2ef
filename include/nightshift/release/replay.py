"""Requests sent again to both versions, where live traffic is too thin to judge by.

``<bucket>/<pipeline>/replay.json`` names the newest one and the host that carries it out;
``<bucket>/<pipeline>/replays/<id>.jsonl.gz`` has the requests. The host's agent sends each to both
colours' servers, past Envoy, so that clients' metrics stay clients'; what is seen lands where
sampled requests' comparisons do. How far it has come is on the host's disk.
"""

from __future__ import annotations

import gzip
import json
import logging
import threading
import time
import uuid
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from nightshift.errors import UnavailableError
from nightshift.release.files import write_atomically
from nightshift.release.shadow import Shadow
from nightshift.storage.s3 import AbsentError, Bucket

_log = logging.getLogger(__name__)

FASTEST = 100.0
"""Requests a second, at most."""
_SAVE_SECONDS = 2.0


class Replay(BaseModel):
    """One replay."""

    model_config = ConfigDict(frozen=True)

    id: str
    release: str
    """It ends with this release."""
    host: str
    """Who carries it out: counts of the same request on two hosts would count twice."""
    requests: int
    per_second: float
    by: str
    at: datetime


class _Progress(BaseModel):
    """How far a host has come with a replay."""

    id: str
    done: int = 0


def ask(
    bucket: Bucket,
    pipeline: str,
    packed: bytes,
    *,
    release: str,
    host: str,
    requests: int,
    per_second: float,
    by: str,
) -> Replay:
    """Ask for a replay; an earlier one that is still under way ends.

    Args:
        bucket: The bucket of artifacts and log.
        pipeline: The pipeline.
        packed: One request a line (:mod:`nightshift.data.replay_rows`), gzipped.
        release: The release that is judged.
        host: The host that carries it out.
        requests: How many there are.
        per_second: How fast, at most :data:`FASTEST`.
        by: Who asks.

    Raises:
        UnavailableError: The object store is away.
    """
    replay = Replay(
        id=uuid.uuid4().hex[:12],
        release=release,
        host=host,
        requests=requests,
        per_second=min(per_second, FASTEST),
        by=by,
        at=datetime.now(UTC),
    )
    bucket.put(_requests_key(pipeline, replay.id), packed, content_type="application/gzip")
    body = replay.model_dump_json().encode()
    bucket.put(f"{pipeline}/replay.json", body, content_type="application/json")
    return replay


class Replayer:
    """Carries out this host's replays. One loop owns :meth:`tick`, and may stay long in it.

    Args:
        bucket: The bucket of artifacts and log.
        host: This host.
        shadow: Asks both versions, and knows which are judged.
        state: The agent's folder.
        stopped: Whether the agent ends.
    """

    def __init__(
        self, bucket: Bucket, host: str, shadow: Shadow, state: Path, stopped: threading.Event
    ) -> None:
        self._bucket = bucket
        self._host = host
        self._shadow = shadow
        self._file = state / "replays.json"
        self._stopped = stopped
        self._progress = _load(self._file)
        self._saved_at = 0.0

    def tick(self) -> None:
        """Carry out what is asked for a release that is judged (raises UnavailableError)."""
        for pipeline, release in self._shadow.releases().items():
            replay = self._read(pipeline)
            if replay is None or replay.release != release or replay.host != self._host:
                continue
            if self._done(pipeline, replay) < replay.requests:
                self._carry_out(pipeline, replay)

    def _carry_out(self, pipeline: str, replay: Replay) -> None:
        lines = self._requests(pipeline, replay)
        first = self._done(pipeline, replay)
        _log.info(
            "%s: replays %s requests from number %s on, asked by %s",
            pipeline,
            len(lines),
            first,
            replay.by,
        )
        pause = 1 / max(replay.per_second, 0.1)
        for number, line in enumerate(lines[first:], first + 1):
            began = time.monotonic()
            if self._stopped.is_set() or self._shadow.releases().get(pipeline) != replay.release:
                break
            self._send(pipeline, line)
            self._note(pipeline, replay, number)
            self._stopped.wait(max(0.0, pause - (time.monotonic() - began)))
        else:
            # A file shorter than promised ends all the same.
            self._note(pipeline, replay, replay.requests)
        self._save()

    def _send(self, pipeline: str, line: str) -> None:
        try:
            self._shadow.replay(pipeline, json.loads(line))
        except ValueError:
            _log.warning("%s: a line of the replay is no request and is passed over", pipeline)

    def _read(self, pipeline: str) -> Replay | None:
        try:
            return Replay.model_validate_json(self._bucket.get(f"{pipeline}/replay.json").body)
        except (AbsentError, ValidationError):
            return None

    def _requests(self, pipeline: str, replay: Replay) -> list[str]:
        try:
            packed = self._bucket.get(_requests_key(pipeline, replay.id)).body
            return gzip.decompress(packed).decode().splitlines()
        except (AbsentError, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise UnavailableError(
                f"{pipeline}: the requests of replay {replay.id} cannot be read ({error})."
            ) from error

    def _done(self, pipeline: str, replay: Replay) -> int:
        known = self._progress.get(pipeline)
        return known.done if known and known.id == replay.id else 0

    def _note(self, pipeline: str, replay: Replay, done: int) -> None:
        self._progress[pipeline] = _Progress(id=replay.id, done=done)
        if time.monotonic() - self._saved_at >= _SAVE_SECONDS:
            self._save()

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        text = json.dumps({name: known.model_dump() for name, known in self._progress.items()})
        try:
            write_atomically(self._file, text)
        except OSError as error:
            _log.warning("replay: how far it has come is not on disk: %s", error)


def _load(file: Path) -> dict[str, _Progress]:
    try:
        found: Mapping[str, Any] = json.loads(file.read_bytes())
        return {name: _Progress.model_validate(known) for name, known in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _requests_key(pipeline: str, id_: str) -> str:
    return f"{pipeline}/replays/{id_}.jsonl.gz"
