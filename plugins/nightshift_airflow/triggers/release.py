"""Watch a release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightshift_airflow.triggers.log import LogTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nightshift.storage.s3 import Bucket


class ReleaseTrigger(LogTrigger):
    """Fires once the release has ended, or asks a person.

    Args:
        pipeline: Name of the pipeline.
        release_id: The release.
        s3_conn_id: The ``aws`` connection of the object store.
        poll_seconds: Time between looks.
        asked: Questions that do not end the wait, for they were put before; None where none does.
    """

    release_id: str

    def __init__(
        self,
        pipeline: str,
        release_id: str,
        s3_conn_id: str,
        poll_seconds: float = 1.0,
        asked: Sequence[str] | None = (),
    ) -> None:
        super().__init__(pipeline, release_id, s3_conn_id, poll_seconds)
        self.asked = asked
        self._shown = ""

    def arguments(self) -> dict[str, Any]:
        """What to make it with."""
        return {**super().arguments(), "asked": None if self.asked is None else list(self.asked)}

    def look(self, bucket: Bucket) -> dict[str, Any] | None:
        """How the release stands, once it has ended or asks; each new message is logged."""
        from nightshift.release.requests import watch

        state = watch(bucket, self.pipeline, self.release_id)
        if state.message != self._shown:
            self._shown = state.message
            self.log.info("Release %s: %s", self.release_id, state.message)
        asks = state.question and self.asked is not None and state.question not in self.asked
        tells = state.ended or asks
        return state.model_dump(mode="json") if tells else None
