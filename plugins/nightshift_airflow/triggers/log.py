"""Wait on the release log from the triggerer, where thousands of waits share one process."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from nightshift.errors import UnavailableError

if TYPE_CHECKING:
    from nightshift.storage.s3 import Bucket


class LogTrigger(BaseTrigger):
    """Looks at the release log until there is something to tell; waits out an absent object store.

    Args:
        pipeline: Name of the pipeline.
        release_id: A release in its log; None where none is waited for.
        s3_conn_id: The ``aws`` connection of the object store.
        poll_seconds: Time between looks.
    """

    def __init__(
        self, pipeline: str, release_id: str | None, s3_conn_id: str, poll_seconds: float
    ) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.release_id = release_id
        self.s3_conn_id = s3_conn_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer needs to make this again after its restart."""
        kind = type(self)
        return f"{kind.__module__}.{kind.__qualname__}", self.arguments()

    def arguments(self) -> dict[str, Any]:
        """What to make it with."""
        return {
            "pipeline": self.pipeline,
            "release_id": self.release_id,
            "s3_conn_id": self.s3_conn_id,
            "poll_seconds": self.poll_seconds,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something to tell."""
        from asgiref.sync import sync_to_async

        from nightshift_airflow.hooks.storage import StorageHook

        bucket = None
        while True:
            bucket = bucket or await sync_to_async(StorageHook(self.s3_conn_id).bucket)()
            found = None
            try:
                found = await asyncio.to_thread(self.look, bucket)
            except UnavailableError as error:
                self.log.warning("%s", error.message)
                # Its connection may have new keys meanwhile.
                bucket = None
            if found is not None:
                yield TriggerEvent(found)
                return
            await asyncio.sleep(self.poll_seconds)

    @abstractmethod
    def look(self, bucket: Bucket) -> dict[str, Any] | None:
        """What to tell the task, or None while it must wait (raises UnavailableError)."""
