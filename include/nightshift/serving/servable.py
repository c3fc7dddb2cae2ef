"""One version of one model: what is loaded, in which state, and how many requests use it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from nightshift.serving.errors import ServingError, StatusCode
from nightshift.serving.lifecycle import ModelState
from nightshift.serving.metrics import Metrics
from nightshift.serving.model import Model, load_model
from nightshift.serving.saved_model import ThreadSettings
from nightshift.serving.warmup import warm_up


class Servable:
    """A version that the manager looks after.

    Its state belongs to the manager, which changes it under its own lock; the count of requests
    in flight belongs to the servable.

    Args:
        name: Model name.
        version: Version number.
        path: Folder of the SavedModel.
    """

    def __init__(self, name: str, version: int, path: Path) -> None:
        self.name = name
        self.version = version
        self.path = path
        self.state = ModelState.START
        self.wanted = True
        self.failed_loads = 0
        self.retry_at: float | None = None
        self._model: Model | None = None
        self._in_use = 0
        self._idle = threading.Condition()

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.version}}}"

    @property
    def model(self) -> Model:
        """The loaded model; only between `load` and `unload`."""
        assert self._model is not None, f"{self} is not loaded"
        return self._model

    def load(
        self, threads: ThreadSettings, metrics: Metrics, *, prefer_tflite: bool = False
    ) -> int:
        """Load the SavedModel, or the TFLite model in its folder, and replay warm-up requests.

        Returns:
            How many warm-up requests were replayed.

        Raises:
            ServingError: The load or a warm-up request failed; nothing stays in memory.
        """
        try:
            model = load_model(self.path, threads, prefer_tflite=prefer_tflite)
        except ServingError:
            metrics.load(str(self.path), succeeded=False)
            raise
        metrics.load(str(self.path), succeeded=True)
        try:
            replayed = _warm_up(model, self.path, metrics)
        except BaseException:
            model.close()
            raise
        self._model = model
        return replayed

    def acquire(self) -> None:
        """A request begins to use the model."""
        with self._idle:
            self._in_use += 1

    def release(self) -> None:
        """A request is done with the model."""
        with self._idle:
            self._in_use -= 1
            if self._in_use == 0:
                self._idle.notify_all()

    def unload(self) -> None:
        """Wait for the requests in flight, then free the model's memory."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_use == 0)
            model, self._model = self._model, None
        if model is not None:
            model.close()


def _warm_up(model: Model, path: Path, metrics: Metrics) -> int:
    started = time.perf_counter()
    code = StatusCode.UNKNOWN
    try:
        replayed = warm_up(model, path)
        code = StatusCode.OK
        return replayed
    except ServingError as error:
        code = error.code
        raise
    finally:
        metrics.warmup(time.perf_counter() - started, str(path), code)
