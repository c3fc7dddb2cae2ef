"""Checkpoints: where a killed job goes on, on any machine, as committed artifacts.

Key: the train step's key, then epochs and steps that are complete, so that a listing shows them in
order. Without its manifest a checkpoint does not exist; a killed writer leaves nothing visible.
"""

from __future__ import annotations

import io
import json
import logging
import shutil
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nightshift.artifacts.manifest import MANIFEST, Manifest
from nightshift.artifacts.store import Artifact, ArtifactStore
from nightshift.definition.training import Checkpoints
from nightshift.errors import NightshiftError
from nightshift.steps.contract import StepRequest
from nightshift.training.history import Epoch
from nightshift.training.order import Position

KIND = "checkpoint"
KEPT = 2
"""Checkpoints of a running job; older ones go once a newer is committed."""
SHORT_SECONDS = 2.0
"""Work shorter than this is not waited for: see :meth:`CheckpointWriter.save`."""

_FILE = "state.npz"
_TOLD = "told"


@dataclass(frozen=True)
class State:
    """All that training needs to go on as if it had never stopped.

    Attributes:
        position: The next batch.
        history: The epochs that are complete.
        seconds: Wall time that the epoch under way has taken so far.
        model: The model's variables, in their order.
        optimizer: The optimizer's, its count of steps included.
        metrics: The metrics' over the epoch under way.
    """

    position: Position
    history: tuple[Epoch, ...]
    seconds: float
    model: list[np.ndarray]
    optimizer: list[np.ndarray]
    metrics: list[np.ndarray]


def newest_checkpoint(store: ArtifactStore, pipeline: str, train_key: str) -> Artifact | None:
    """The committed checkpoint that is furthest, of one train step; None where there is none."""
    keys = [_key_of(folder) for folder in store.bucket.folders(_prefix(pipeline, train_key))]
    for key in reversed(keys):
        found = store.find(pipeline, KIND, key)
        if found:
            return found
    return None


def read_checkpoint(store: ArtifactStore, artifact: Artifact) -> State:
    """What a checkpoint holds, its digest checked."""
    with np.load(io.BytesIO(store.read(artifact, _FILE))) as kept:
        told = json.loads(kept[_TOLD].tobytes())
        names = sorted(kept.files)
        arrays = {p: [kept[n] for n in names if n.startswith(p)] for p in ("m/", "o/", "s/")}
    return State(
        position=Position(**told["position"]),
        history=tuple(Epoch.model_validate(epoch) for epoch in told["history"]),
        seconds=told["seconds"],
        model=arrays["m/"],
        optimizer=arrays["o/"],
        metrics=arrays["s/"],
    )


def remove_finished(store: ArtifactStore, pipeline: str) -> int:
    """Remove the checkpoints of every train step whose model is committed; returns how many.

    Called after the commit and before the next training, so that a process killed in between
    leaves nothing for ever.
    """
    removed = 0
    finished: dict[str, bool] = {}
    for folder in store.bucket.folders(_prefix(pipeline)):
        key = _key_of(folder)
        train_key = key.rsplit("-", 2)[0]
        if train_key not in finished:
            finished[train_key] = store.find(pipeline, "model", train_key) is not None
        if finished[train_key]:
            _remove(store, folder)
            removed += 1
    return removed


class CheckpointWriter:
    """Writes the checkpoints of one job, in a thread of its own.

    Args:
        store: Where they go.
        request: The train step's.
        rule: How often.
        log: Is told of a checkpoint that could not be written; training goes on without it.
        result: Whether the last checkpoint is how the model reaches whoever exports it: then every
            one is waited for, and the last must succeed.
    """

    def __init__(
        self,
        store: ArtifactStore,
        request: StepRequest,
        rule: Checkpoints,
        log: logging.Logger,
        *,
        result: bool = False,
    ) -> None:
        self._store, self._request, self._rule = store, request, rule
        self._log, self._result = log, result
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        self._last = time.monotonic()
        self._keys: list[str] = []
        self.seconds = 0.0
        """Wall time that training has waited for checkpoints."""

    def due(self, position: Position) -> bool:
        """Whether it is time for one: an epoch is complete, or the minutes are over."""
        if position.step == 0:
            return position.epoch % self._rule.every_epochs == 0
        minutes = self._rule.every_minutes
        return minutes is not None and time.monotonic() - self._last >= 60 * minutes

    def save(self, state: State, *, last: bool = False) -> None:
        """Commit a checkpoint, or begin to.

        Work of more than ``SHORT_SECONDS`` is only gone on from once it is safe: an epoch that
        the log calls done is never trained twice. Shorter work is cheaper than the wait; of two
        such checkpoints that overlap the second waits for the first.

        Raises:
            UnavailableError: The last checkpoint, which is the result, could not be written.
        """
        started = time.monotonic()
        self._settle()
        self._pending = self._pool.submit(self._commit, state)
        if self._result or started - self._last >= SHORT_SECONDS:
            self._settle(required=last and self._result)
        self._last = time.monotonic()
        self.seconds += self._last - started

    def close(self) -> None:
        """Finish what is being written, and end the thread."""
        started = time.monotonic()
        self._settle()
        self._pool.shutdown()
        self.seconds += time.monotonic() - started

    def _settle(self, *, required: bool = False) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            pending.result()
        except NightshiftError as error:
            if required:
                raise
            self._log.warning("A checkpoint could not be written, training goes on: %s", error)

    def _commit(self, state: State) -> None:
        position, request = state.position, self._request
        key = f"{request.key}-{position.epoch:05d}-{position.step:08d}"
        folder = Path(tempfile.mkdtemp(prefix="nightshift-checkpoint-"))
        try:
            (folder / _FILE).write_bytes(_bytes(state))
            self._store.commit(_draft(request, key, state), folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._keys.append(key)
        while len(self._keys) > KEPT:
            _remove(self._store, f"{_prefix(request.pipeline)}{self._keys.pop(0)}/")


def _bytes(state: State) -> bytes:
    told = {
        "position": {"epoch": state.position.epoch, "step": state.position.step},
        "history": [epoch.model_dump() for epoch in state.history],
        "seconds": state.seconds,
    }
    parts = {"m": state.model, "o": state.optimizer, "s": state.metrics}
    arrays = {f"{p}/{n:06d}": array for p, part in parts.items() for n, array in enumerate(part)}
    written = io.BytesIO()
    arrays[_TOLD] = np.frombuffer(json.dumps(told).encode(), np.uint8)
    np.savez(written, allow_pickle=False, **arrays)
    return written.getvalue()


def _draft(request: StepRequest, key: str, state: State) -> Manifest:
    last = state.history[-1] if state.history else None
    return request.draft(
        KIND,
        key,
        metrics={"loss": last.loss} if last else {},
        facts={"epoch": state.position.epoch, "step": state.position.step},
    )


def _remove(store: ArtifactStore, folder: str) -> None:
    """The manifest first: half a removal must look like none at all."""
    store.bucket.delete(f"{folder}{MANIFEST}")
    for item in list(store.bucket.list(folder)):
        store.bucket.delete(item.key)


def _prefix(pipeline: str, train_key: str = "") -> str:
    return f"{pipeline}/artifacts/{KIND}/" + (f"{train_key}-" if train_key else "")


def _key_of(folder: str) -> str:
    return folder.rstrip("/").rsplit("/", 1)[-1]
