"""Watch a roll-back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightshift_airflow.triggers.log import LogTrigger

if TYPE_CHECKING:
    from nightshift.storage.s3 import Bucket


class RollbackTrigger(LogTrigger):
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
        super().__init__(pipeline, release_id, s3_conn_id, poll_seconds)

    def look(self, bucket: Bucket) -> dict[str, Any] | None:
        """The hosts that have gone back, or why none will."""
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
