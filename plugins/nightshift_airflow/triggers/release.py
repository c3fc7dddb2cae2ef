"""Watch a release from the triggerer, where thousands of waits share one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from nightshift.errors import UnavailableError


class ReleaseTrigger(BaseTrigger):
    """Fires once the release has ended, or asks a person.

    Args:
        pipeline: Name of the pipeline.
        release_id: The release.
        s3_conn_id: The ``aws`` connection of the object store.
        poll_seconds: Time between looks.
        until_question: Whether a question ends the wait too.
    """

    def __init__(
        self,
        pipeline: str,
        release_id: str,
        s3_conn_id: str,
        poll_seconds: float = 1.0,
        until_question: bool = False,
    ) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.release_id = release_id
        self.s3_conn_id = s3_conn_id
        self.poll_seconds = poll_seconds
        self.until_question = until_question

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer needs to make this again after its restart."""
        return (
            "nightshift_airflow.triggers.release.ReleaseTrigger",
            {
                "pipeline": self.pipeline,
                "release_id": self.release_id,
                "s3_conn_id": self.s3_conn_id,
                "poll_seconds": self.poll_seconds,
                "until_question": self.until_question,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll the release log; the object store's absence is waited out, not reported."""
        from asgiref.sync import sync_to_async

        from nightshift.release.requests import watch
        from nightshift_airflow.hooks.storage import StorageHook

        bucket = await sync_to_async(StorageHook(self.s3_conn_id).bucket)()
        shown = ""
        while True:
            try:
                state = await asyncio.to_thread(watch, bucket, self.pipeline, self.release_id)
            except UnavailableError as error:
                self.log.warning("%s", error.message)
            else:
                if state.message != shown:
                    shown = state.message
                    self.log.info("Release %s: %s", self.release_id, shown)
                if state.ended or (self.until_question and state.question):
                    yield TriggerEvent(state.model_dump(mode="json"))
                    return
            await asyncio.sleep(self.poll_seconds)
