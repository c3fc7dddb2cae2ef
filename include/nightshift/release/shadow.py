"""Green's answers to real requests, beside blue's, while a release is watched.

The recorder samples what clients ask; each sample goes to the colour that did not answer it, and
the two answers become counts. A release's phases read those counts; this room knows no phases.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from nightshift.errors import UnavailableError
from nightshift.release.address import Address
from nightshift.release.comparison import Compared
from nightshift.release.files import write_atomically
from nightshift.release.model_server import ModelServer, PredictionRefusedError
from nightshift.release.pairing import DEFAULT_TOLERANCE, Reply, compare
from nightshift.release.record import Colour
from nightshift.release.recorder import Pace, Recorder
from nightshift.release.sample import Sample

_log = logging.getLogger(__name__)

_QUEUE = 256
_KEYS = 64
"""Keys that are kept of each pipeline: the newest."""
_SAVE_SECONDS = 2.0
_ASK_SECONDS = 10.0
# The server's own business, whatever it was asked: nothing is held against either version.
_NOBODYS_FAULT = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(frozen=True)
class ShadowTarget:
    """Two versions of a pipeline whose answers are compared.

    Attributes:
        pipeline: The pipeline.
        key: What the counts are for: release, phase and step.
        live: The colour that takes the traffic, or most of it.
        live_version: What it holds.
        other: The colour that it is compared with.
        other_version: What that holds.
        sample: Share of the requests, between 0 and 1.
        tolerance: See :func:`nightshift.release.pairing.compare`.
        release: The release that is judged; replays of another one are not for it.
    """

    pipeline: str
    key: str
    live: Colour
    live_version: int
    other: Colour
    other_version: int
    sample: float
    tolerance: float = DEFAULT_TOLERANCE
    release: str = ""

    def version(self, colour: Colour) -> int:
        """What a colour holds."""
        return self.live_version if colour is self.live else self.other_version

    def answered(self, sample: Sample) -> bool:
        """Whether one of the two versions answered a sample, on its own colour."""
        return sample.is_of_server and sample.version == self.version(sample.colour)


class _Counts(BaseModel):
    """What is kept on disk."""

    model_config = ConfigDict(extra="forbid")

    pipelines: dict[str, dict[str, Compared]] = {}


class Shadow:
    """Compares the answers of two colours on sampled requests.

    Nothing here raises or waits: not :meth:`watch`, and not the threads, whatever Envoy, a server
    or the disk do.

    Args:
        admin: Envoy's administration address.
        servers: The model servers by colour.
        state: The agent's folder; the counts survive its restart there.
        most_per_second: Pairs that are asked for at most; further samples are dropped and counted.
        also: Gets what :meth:`record` asks for, in the reader's thread; it must be quick.
    """

    def __init__(
        self,
        admin: Address,
        servers: Mapping[Colour, ModelServer],
        state: Path,
        *,
        most_per_second: float = 20.0,
        also: Callable[[Sample], None] | None = None,
    ) -> None:
        self._servers = servers
        self._file = state / "compared.json"
        self._also = also
        self._lock = threading.Lock()
        self._targets: dict[str, ShadowTarget] = {}
        self._recorded: dict[str, float] = {}
        self._counts = _load(self._file)
        self._unsaved = False
        self._saved_at = time.monotonic()
        self._pace = Pace(most_per_second)
        self._queue: queue.Queue[tuple[ShadowTarget, Sample] | None] = queue.Queue(_QUEUE)
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self.recorder = Recorder(admin, self._take)

    def watch(self, targets: Mapping[str, ShadowTarget]) -> None:
        """Say what to compare from now on; with nothing to compare or record the tap is closed.

        Args:
            targets: Pipeline to its two versions.
        """
        with self._lock:
            self._targets = dict(targets)
            if targets and not self._thread.ident:
                self._thread.start()
            shares = self._shares()
        self.recorder.want(shares)

    def record(self, shares: Mapping[str, float]) -> None:
        """Say of which pipelines which share of the requests goes to ``also``, release or not."""
        with self._lock:
            self._recorded = dict(shares)
            shares = self._shares()
        self.recorder.want(shares)

    def compared(self, pipeline: str, key: str) -> Compared:
        """All that was counted for a key, on this host."""
        with self._lock:
            return self._counts.get(pipeline, {}).get(key, Compared())

    def releases(self) -> dict[str, str]:
        """The release of each pipeline that is watched."""
        with self._lock:
            return {name: target.release for name, target in self._targets.items()}

    def replay(self, pipeline: str, inputs: Any) -> None:
        """Ask both versions one request, in column format, and count it; waits for the answers."""
        with self._lock:
            target = self._targets.get(pipeline)
        if target is None:
            return
        replies = {
            colour: self._ask(self._servers[colour], pipeline, target.version(colour), inputs)
            for colour in Colour
        }
        blue, green = replies[Colour.BLUE], replies[Colour.GREEN]
        if self._is_over(target):
            return
        if blue is None or green is None:
            self._add(target, Compared(unanswered=1, replayed=1))
        else:
            pair = compare(blue, green, target.tolerance)
            self._add(target, pair.merge(Compared(replayed=1)))

    def close(self) -> None:
        """Close the tap, end the threads and save the counts."""
        self.recorder.close()
        with self._lock:
            self._targets = {}
        self._save(at_once=True)

    def _shares(self) -> dict[str, float]:
        names = {*self._targets, *self._recorded}
        asked = {name: target.sample for name, target in self._targets.items()}
        return {n: max(asked.get(n, 0.0), self._recorded.get(n, 0.0)) for n in names}

    # --- The recorder's thread ----------------------------------------------------------------

    def _take(self, sample: Sample) -> None:
        with self._lock:
            target = self._targets.get(sample.pipeline)
            recorded = self._recorded.get(sample.pipeline, 0.0)
        # One tap serves both, at the higher share: the other one gets a part of it.
        share = max(target.sample if target else 0.0, recorded)
        if target and target.answered(sample) and random.random() * share < target.sample:
            self._enqueue(target, sample)
        if self._also is not None and random.random() * share < recorded:
            self._also(sample)

    def _enqueue(self, target: ShadowTarget, sample: Sample) -> None:
        if self._pace.allows():
            try:
                self._queue.put_nowait((target, sample))
                return
            except queue.Full:
                pass
        self._add(target, Compared(dropped=1))

    # --- The comparing thread -----------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                found = self._queue.get(timeout=_SAVE_SECONDS)
            except queue.Empty:
                found = None
            try:
                if found is not None:
                    self._compare(*found)
                self._save()
            except Exception:
                _log.exception("shadow: a pair could not be compared")

    def _compare(self, target: ShadowTarget, sample: Sample) -> None:
        if self._is_over(target) or sample.status in _NOBODYS_FAULT:
            return
        colour = sample.colour.other
        reply = self._ask(
            self._servers[colour],
            sample.pipeline,
            target.version(colour),
            sample.inputs,
            sample.signature,
        )
        if self._is_over(target):
            # The colour may have been told meanwhile to hold another version.
            return
        if reply is None:
            self._add(target, Compared(unanswered=1))
            return
        replies = {sample.colour: Reply(sample.outputs), colour: reply}
        pair = compare(replies[Colour.BLUE], replies[Colour.GREEN], target.tolerance)
        self._add(target, pair)

    def _ask(
        self, server: ModelServer, pipeline: str, version: int, inputs: Any, signature: str = ""
    ) -> Reply | None:
        """What a version says; None where its server could not be asked at all."""
        body = {"inputs": inputs} | ({"signature_name": signature} if signature else {})
        try:
            return Reply(server.predict(pipeline, version, body, seconds=_ASK_SECONDS))
        except PredictionRefusedError:
            return Reply()
        except UnavailableError as error:
            # A server that takes a request and dies or hangs over it has failed that request.
            cause = error.__cause__
            died = isinstance(cause, httpx.HTTPError) and not isinstance(
                cause, httpx.ConnectError | httpx.ConnectTimeout
            )
            return Reply() if died else None

    def _is_over(self, target: ShadowTarget) -> bool:
        with self._lock:
            return self._targets.get(target.pipeline) != target

    def _add(self, target: ShadowTarget, seen: Compared) -> None:
        with self._lock:
            counts = self._counts.setdefault(target.pipeline, {})
            # Taken out and put in again: the newest key comes last.
            counts[target.key] = counts.pop(target.key, Compared()).merge(seen)
            while len(counts) > _KEYS:
                del counts[next(iter(counts))]
            self._unsaved = True

    def _save(self, *, at_once: bool = False) -> None:
        with self._lock:
            due = at_once or time.monotonic() - self._saved_at >= _SAVE_SECONDS
            if not self._unsaved or not due:
                return
            text = _Counts(pipelines=self._counts).model_dump_json()
            self._unsaved, self._saved_at = False, time.monotonic()
        try:
            write_atomically(self._file, text)
        except OSError as error:
            with self._lock:
                self._unsaved = True
            _log.warning("shadow: the counts are not on disk: %s", error)


def _load(file: Path) -> dict[str, dict[str, Compared]]:
    try:
        return _Counts.model_validate_json(file.read_bytes()).pipelines
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        _log.error("%s cannot be read; its counts begin again: %s", file, error)
        return {}
