"""Keeps the versions in memory equal to those that configuration and disk ask for.

Every version moves on its own: a load that fails ends that version and no other. A version that is
no longer wanted goes on serving until one that is wanted is AVAILABLE (TensorFlow Serving's
availability-preserving policy); with none wanted at all it is unloaded at once. Unloading waits
for the requests in flight.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nightshift.serving.config import ModelConfig, ServerConfig
from nightshift.serving.errors import (
    ServingError,
    StatusCode,
    failed_precondition,
    invalid_argument,
    not_found,
)
from nightshift.serving.lifecycle import ModelState, StatusBoard
from nightshift.serving.metrics import Metrics
from nightshift.serving.saved_model import ThreadSettings
from nightshift.serving.servable import Servable
from nightshift.serving.version_policy import find_versions

_log = logging.getLogger(__name__)

_Key = tuple[str, int]


@dataclass(frozen=True)
class ManagerSettings:
    """How the manager loads, named after TensorFlow Serving's flags.

    Attributes:
        poll_seconds: Pause between two looks at the base paths; 0 looks only when the
            configuration changes.
        max_load_retries: How often a failed load is tried again.
        load_retry_seconds: Pause before each further try.
        load_threads: Versions that may load at the same time.
        labels_before_available: Whether a label may name a version that is not AVAILABLE yet.
        threads: TensorFlow's threads.
        prefer_tflite: Load `model.tflite` where a version's folder has one.
    """

    poll_seconds: float = 1.0
    max_load_retries: int = 5
    load_retry_seconds: float = 60.0
    load_threads: int = 2
    labels_before_available: bool = False
    threads: ThreadSettings = field(default_factory=ThreadSettings)
    prefer_tflite: bool = False


class ServableManager:
    """Owns every loaded version; safe to use from any thread."""

    def __init__(self, settings: ManagerSettings, metrics: Metrics) -> None:
        self.board = StatusBoard()
        self._settings = settings
        self._metrics = metrics
        self._config = ServerConfig()
        self._aspired: dict[str, dict[int, Path]] = {}
        self._tracked: dict[_Key, Servable] = {}
        self._serving: dict[str, dict[int, Servable]] = {}
        self._complaints: dict[str, str] = {}
        self._changed = threading.Condition()
        self._configuring = threading.Lock()
        self._reconciling = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._loaders = ThreadPoolExecutor(settings.load_threads, thread_name_prefix="load")
        self._thread = threading.Thread(target=self._keep_reconciling, name="manager", daemon=True)

    @property
    def config(self) -> ServerConfig:
        """The configuration in force."""
        return self._config

    def start(self) -> None:
        """Begin to watch the base paths."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and loading. Models stay in memory until the process ends."""
        self._stopping = True
        self._wake.set()
        with self._changed:
            self._changed.notify_all()
        self._loaders.shutdown(wait=False, cancel_futures=True)

    def apply(self, config: ServerConfig) -> None:
        """Put a configuration in force, as a whole or not at all; loads begin at once.

        Raises:
            ServingError: FAILED_PRECONDITION where a label names a version that is not AVAILABLE
                and may not do so.
        """
        with self._configuring:
            self._apply(config)

    def apply_and_wait(self, config: ServerConfig) -> None:
        """As `apply`, then wait until some version of each new model is AVAILABLE.

        Raises:
            ServingError: As `apply`; UNKNOWN naming each new model that has no version on disk or
                whose versions all failed to load.
        """
        # No other configuration may come between, or the models waited for would be gone again.
        with self._configuring:
            known = {model.name for model in self._config.models}
            self._apply(config)
            self._wait_for({model.name for model in config.models} - known)

    def wait_for_first_attempts(self) -> None:
        """Wait until every wanted version has loaded or failed once."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._stopping
                    or all(_attempted(servable) for servable in self._tracked.values())
                )
            )

    @contextmanager
    def handle(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> Iterator[Servable]:
        """A version to send a request to, kept in memory until the block is left.

        Args:
            name: Model name.
            version: A version number; without number and label, the highest AVAILABLE one.
            label: A label of the configuration.

        Raises:
            ServingError: NOT_FOUND where no such version is AVAILABLE; INVALID_ARGUMENT for an
                empty name or an unknown label.
        """
        servable = self._acquire(name, version, label)
        try:
            yield servable
        finally:
            servable.release()

    # Requests

    def _acquire(self, name: str, version: int | None, label: str | None) -> Servable:
        if not name:
            raise invalid_argument("ModelSpec has no name specified.")
        with self._changed:
            wanted = self._labelled_version(name, label) if label else version
            available = self._serving.get(name, {})
            if wanted is None and available:
                wanted = max(available)
            if wanted is None:
                raise not_found(f"Servable not found for request: Latest({name})")
            if wanted not in available:
                raise not_found(f"Servable not found for request: Specific({name}, {wanted})")
            servable = available[wanted]
            servable.acquire()
            return servable

    def _labelled_version(self, name: str, label: str) -> int:
        model = self._config.find(name)
        if model is None or label not in model.labels:
            raise invalid_argument(f"Unrecognized servable version label: {label}")
        return model.labels[label]

    def _check_labels(self, config: ServerConfig) -> None:
        for model in config.models:
            for label, version in model.labels.items():
                if version in self._serving.get(model.name, {}):
                    continue
                if self._settings.labels_before_available and not self._moves(
                    model.name, label, version
                ):
                    continue
                raise failed_precondition(
                    f"Request to assign label to version {version} of model {model.name}, "
                    f"which is not currently available for inference (label {label!r})"
                )

    def _moves(self, name: str, label: str, version: int) -> bool:
        """Whether a label in use would move; TensorFlow Serving then insists on AVAILABLE."""
        current = self._config.find(name)
        return current is not None and current.labels.get(label, version) != version

    # Bringing memory in line with configuration and disk

    def _apply(self, config: ServerConfig) -> None:
        with self._changed:
            self._check_labels(config)
            self._config = config
        self._reconcile()

    def _keep_reconciling(self) -> None:
        while not self._stopping:
            self._wake.wait(self._pause())
            self._wake.clear()
            if not self._stopping:
                self._reconcile()

    def _pause(self) -> float | None:
        """Seconds until the next look at the disk or the next retry; None waits for a wake."""
        waits = [self._settings.poll_seconds] if self._settings.poll_seconds > 0 else []
        with self._changed:
            retries = [s.retry_at for s in self._tracked.values() if s.retry_at is not None]
        waits += [max(at - time.monotonic(), 0.01) for at in retries]
        return min(waits, default=None)

    def _reconcile(self) -> None:
        with self._reconciling:
            config = self._config
            aspired = {model.name: self._versions_wanted(model) for model in config.models}
            with self._changed:
                self._aspired = aspired
                self._begin_loads()
                self._retry_loads()
                self._drop_unwanted()
                self._changed.notify_all()

    def _versions_wanted(self, model: ModelConfig) -> dict[int, Path]:
        try:
            on_disk = find_versions(model.base_path)
        except OSError as error:
            # A base path that is away for a moment must not unload what serves.
            self._complain(model.name, f"Could not list base path {model.base_path}: {error}")
            return self._aspired.get(model.name, {})
        chosen = model.policy.choose(on_disk)
        if chosen:
            self._complaints.pop(model.name, None)
        else:
            self._complain(
                model.name,
                f"No versions of servable {model.name} found under base path {model.base_path} "
                f"for {model.policy}; it holds {sorted(on_disk) or 'no numeric folders'}",
            )
        return {version: on_disk[version] for version in chosen}

    def _complain(self, name: str, message: str) -> None:
        """Say it once, not at every poll."""
        if self._complaints.get(name) != message:
            self._complaints[name] = message
            _log.warning("%s", message)

    def _begin_loads(self) -> None:
        for name, versions in self._aspired.items():
            for version in sorted(versions):
                servable = self._tracked.get((name, version))
                if servable is not None:
                    servable.wanted = servable.state is not ModelState.UNLOADING
                    continue
                servable = Servable(name, version, versions[version])
                self._tracked[name, version] = servable
                self.board.record(name, version, ModelState.START)
                self._submit(servable)

    def _retry_loads(self) -> None:
        now = time.monotonic()
        for servable in self._tracked.values():
            if servable.retry_at is not None and servable.retry_at <= now:
                servable.retry_at = None
                self._submit(servable)

    def _submit(self, servable: Servable) -> None:
        if not self._stopping:
            self._loaders.submit(self._load, servable)

    def _drop_unwanted(self) -> None:
        for key, servable in list(self._tracked.items()):
            if servable.version in self._aspired.get(servable.name, {}):
                continue
            servable.wanted = False
            if servable.state is ModelState.END:
                del self._tracked[key]
            elif servable.retry_at is not None:
                servable.retry_at = None
                self._forget(servable)
            elif servable.state is ModelState.AVAILABLE and self._may_unload(servable.name):
                self._begin_unload(servable)

    def _may_unload(self, name: str) -> bool:
        aspired = self._aspired.get(name, {})
        return not aspired or any(version in self._serving.get(name, {}) for version in aspired)

    def _load(self, servable: Servable) -> None:
        if not self._enter_loading(servable):
            return
        started = time.perf_counter()
        try:
            replayed = servable.load(
                self._settings.threads,
                self._metrics,
                prefer_tflite=self._settings.prefer_tflite,
            )
        except ServingError as error:
            self._load_failed(servable, error)
        except Exception as error:
            _log.exception("Loading %s failed in an unforeseen way", servable)
            self._load_failed(servable, ServingError(StatusCode.INTERNAL, repr(error)))
        else:
            self._loaded(servable)
            _log.info(
                "Loaded servable version %s from %s in %.2f s, %d warm-up requests",
                servable,
                servable.path,
                time.perf_counter() - started,
                replayed,
            )
        self._wake.set()

    def _enter_loading(self, servable: Servable) -> bool:
        with self._changed:
            if not servable.wanted:
                self._forget(servable)
                return False
            servable.state = ModelState.LOADING
            self.board.record(servable.name, servable.version, ModelState.LOADING)
            return True

    def _loaded(self, servable: Servable) -> None:
        with self._changed:
            servable.state = ModelState.AVAILABLE
            self._serving.setdefault(servable.name, {})[servable.version] = servable
            self.board.record(servable.name, servable.version, ModelState.AVAILABLE)
            self._changed.notify_all()

    def _load_failed(self, servable: Servable, error: ServingError) -> None:
        with self._changed:
            servable.failed_loads += 1
            retries_left = self._settings.max_load_retries - servable.failed_loads + 1
            if retries_left > 0 and servable.wanted:
                servable.retry_at = time.monotonic() + self._settings.load_retry_seconds
            else:
                self._end(servable, error)
            self._changed.notify_all()
        _log.error(
            "Loading servable %s from %s failed: %s; %s",
            servable,
            servable.path,
            error,
            f"trying again in {self._settings.load_retry_seconds:g} s, {retries_left} tries left"
            if servable.retry_at is not None
            else "giving up",
        )

    def _begin_unload(self, servable: Servable) -> None:
        servable.state = ModelState.UNLOADING
        self.board.record(servable.name, servable.version, ModelState.UNLOADING)
        del self._serving[servable.name][servable.version]
        threading.Thread(target=self._unload, args=(servable,), daemon=True).start()

    def _unload(self, servable: Servable) -> None:
        servable.unload()
        with self._changed:
            self._forget(servable)
            self._changed.notify_all()
        _log.info("Unloaded servable version %s", servable)
        self._wake.set()

    def _end(self, servable: Servable, error: ServingError | None) -> None:
        servable.state = ModelState.END
        self.board.record(servable.name, servable.version, ModelState.END, error)

    def _forget(self, servable: Servable) -> None:
        """End it in good order; wanted again, it loads anew."""
        self._end(servable, None)
        self._tracked.pop((servable.name, servable.version), None)

    # Waiting

    def _wait_for(self, models: set[str]) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or all(self._decided(name) for name in models)
            )
            missing = sorted(name for name in models if not self._serving.get(name))
        if missing:
            reasons = ", ".join(f"{{{name}{self._reason(name)}}}" for name in missing)
            raise ServingError(
                StatusCode.UNKNOWN,
                f"{len(missing)} model(s) did not become available: {{{reasons}}}",
            )

    def _decided(self, name: str) -> bool:
        """Whether a model serves, or has no version left that may yet load."""
        versions = [servable for (model, _), servable in self._tracked.items() if model == name]
        return bool(self._serving.get(name)) or all(
            servable.state is ModelState.END for servable in versions
        )

    def _reason(self, name: str) -> str:
        failed = [status for status in self.board.versions(name) if status.failed]
        if not failed:
            return " has no version under its base path"
        status = failed[0]
        return f" version {status.version} due to error: {status.code.name}: {status.message}"


def _attempted(servable: Servable) -> bool:
    return servable.state in (ModelState.AVAILABLE, ModelState.END) or servable.failed_loads > 0
