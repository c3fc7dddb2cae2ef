"""Watch from the triggerer until a roll-back is done on every serving host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from nightshift.errors import UnavailableError

if TYPE_CHECKING:
    from nightshift.storage.s3 import Bucket


class RollbackTrigger(BaseTrigger):
    """Fires once every host heard of lately routes as the record says.

    Args:
        pipeline: Name of the pipeline.
        release_id: The release by which the old version is staged first, or None.
        s3_conn_id: The ``aws`` connection of the object store.
        poll_seconds: Time between looks.
    """

    def __init__(
        self, pipeline: str, release_id: str | None, s3_conn_id: str, poll_seconds: float = 0.5
    ) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.release_id = release_id
        self.s3_conn_id = s3_conn_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer needs to make this again after its restart."""
        return (
            "nightshift_airflow.triggers.rollback.RollbackTrigger",
            {
                "pipeline": self.pipeline,
                "release_id": self.release_id,
                "s3_conn_id": self.s3_conn_id,
                "poll_seconds": self.poll_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll log and hosts; the object store's absence is waited out."""
        from asgiref.sync import sync_to_async

        from nightshift_airflow.hooks.storage import StorageHook

        bucket = await sync_to_async(StorageHook(self.s3_conn_id).bucket)()
        while True:
            try:
                found = await asyncio.to_thread(self._look, bucket)
            except UnavailableError as error:
                self.log.warning("%s", error.message)
                found = None
            if found is not None:
                yield TriggerEvent(found)
                return
            await asyncio.sleep(self.poll_seconds)

    def _look(self, bucket: Bucket) -> dict[str, Any] | None:
        from nightshift.release import requests

        if self.release_id is not None:
            state = requests.watch(bucket, self.pipeline, self.release_id)
            if state.ended and not state.succeeded:
                return {"error": state.message, "hosts": []}
            if not state.ended:
                return None
        applied = requests.applied_on(bucket, requests.record(bucket, self.pipeline))
        done = bool(applied) and all(applied.values())
        return {"error": "", "hosts": sorted(applied)} if done else None
