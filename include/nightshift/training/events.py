"""The events of one training: where they are written, who brings them to S3, what MLflow gets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightshift.errors import NightshiftError
from nightshift.steps.contract import StepRequest
from nightshift.storage.s3 import AbsentError, Bucket
from nightshift.training.event_upload import EPOCHS_FILE, EventUpload

if TYPE_CHECKING:
    import tf_keras

    from nightshift.training.event_log import Batch


@dataclass(frozen=True)
class Recording:
    """One training's events.

    Attributes:
        bucket: The artifact bucket.
        request: The train step's.
        folder: Scratch folder; made where it is missing.
        log: Told if S3 does not work; training goes on.
    """

    bucket: Bucket
    request: StepRequest
    folder: Path
    log: logging.Logger

    @property
    def prefix(self) -> str:
        """Where the events lie in the bucket, without a slash at the end."""
        night = self.request.night.isoformat()
        return f"{self.request.pipeline}/runs/{night}/tensorboard/{self.request.key}"

    @contextmanager
    def callbacks(
        self, batch: Batch | None, loss: tf_keras.losses.Loss, *, profile: bool = True
    ) -> Iterator[list[tf_keras.callbacks.Callback]]:
        """Keras callbacks that record, uploaded after each epoch.

        Args:
            batch: Inputs and labels to take gradients of; None: no gradients and no graph.
            loss: What training minimises.
            profile: With a profile of a few steps.
        """
        from nightshift.training.event_log import EventLog

        self.folder.mkdir(parents=True, exist_ok=True)
        earlier = self._epochs()
        if earlier:
            (self.folder / EPOCHS_FILE).write_bytes(earlier)
        upload = EventUpload(self.bucket, self.prefix, self.folder, self.log)
        events = EventLog(self.folder, batch, loss, profile=profile, publish=upload.soon)
        try:
            yield [events]
        finally:
            events.close()
            upload.close()

    def facts(self) -> dict[str, Any]:
        """What a train step says of its events: where they lie, and what MLflow gets of them."""
        epochs = self._epochs()
        return {
            "tensorboard": f"s3://{self.bucket.name}/{self.prefix}",
            "epochs_seen": json.loads(epochs) if epochs else [],
        }

    def _epochs(self) -> bytes | None:
        try:
            return self.bucket.get(f"{self.prefix}/{EPOCHS_FILE}").body
        except AbsentError:
            return None
        except NightshiftError as error:
            self.log.warning("TensorBoard's events could not be read: %s", error)
            return None
