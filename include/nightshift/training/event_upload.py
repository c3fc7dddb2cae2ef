"""Bring a training's events to S3 while it trains, and never let it fail or wait for that."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from nightshift.errors import NightshiftError
from nightshift.storage.s3 import Bucket

EPOCHS_FILE = "epochs.json"
"""Learning rate and gradient norm of each epoch: for MLflow, which gets the rest elsewhere."""

_TYPE = "application/octet-stream"


class EventUpload:
    """Copies what is new in a folder, in a thread of its own.

    Args:
        bucket: The artifact bucket.
        prefix: Where they go, without a slash at the end.
        folder: Read again at each call of :meth:`soon`.
        log: Told once if it does not work.
    """

    def __init__(self, bucket: Bucket, prefix: str, folder: Path, log: logging.Logger) -> None:
        self.bucket, self.prefix, self.folder, self.log = bucket, prefix, folder, log
        self._sent: dict[Path, int] = {}
        self._wanted, self._over = threading.Event(), False
        self._thread = threading.Thread(target=self._watch, name="events", daemon=True)
        self._thread.start()

    def soon(self) -> None:
        """Ask for a copy; returns at once."""
        self._wanted.set()

    def close(self) -> None:
        """Copy what is left and wait for it."""
        self._over = True
        self._wanted.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over:
            self._wanted.wait()
            self._wanted.clear()
            try:
                self._copy()
            except (NightshiftError, OSError) as error:
                self.log.warning("TensorBoard's events could not be stored: %s", error)
                return

    def _copy(self) -> None:
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            body = path.read_bytes()
            if self._sent.get(path) != len(body):
                name = path.relative_to(self.folder).as_posix()
                self.bucket.put(f"{self.prefix}/{name}", body, content_type=_TYPE)
                self._sent[path] = len(body)
