"""What serving hosts keep of a pipeline's requests: told in S3, read by every agent.

``<bucket>/<pipeline>/recording.json``, written whenever a release is asked for. A host needs no
copy of ``pipeline.yaml``.
"""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, ValidationError

from nightshift.definition.model import Feature, PipelineDefinition
from nightshift.definition.partitions import Partitions
from nightshift.storage.s3 import AbsentError, Bucket


class RecordingPlan(BaseModel):
    """One pipeline's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    dataset: str
    sample: float
    """Share of the requests; 0 for none."""
    features: dict[str, Feature]
    """What is kept of a request, under its name in the lake."""
    leave_out: tuple[str, ...] = ()
    """What is not."""
    partitions: Partitions = Partitions.DAILY
    timezone: str = "UTC"

    @classmethod
    def of(cls, definition: PipelineDefinition) -> RecordingPlan:
        """What a definition asks for."""
        recording = definition.release.recording
        kept = {n: f for n, f in definition.features.items() if n not in recording.leave_out}
        return cls(
            dataset=definition.dataset.name,
            sample=recording.sample,
            features=kept,
            leave_out=recording.leave_out,
            partitions=definition.dataset.partitions,
            timezone=definition.schedule.timezone,
        )

    def day(self, at: datetime) -> date:
        """The partition of a moment: its day, or the last day of its period, at the pipeline's
        own place."""
        return self.partitions.last_day(at.astimezone(ZoneInfo(self.timezone)).date())


def declare(bucket: Bucket, definition: PipelineDefinition) -> None:
    """Tell the hosts (raises UnavailableError)."""
    text = RecordingPlan.of(definition).model_dump_json(indent=1)
    key = _key(definition.pipeline)
    try:
        if bucket.get(key).body == text.encode():
            return
    except AbsentError:
        pass
    bucket.put(key, text.encode(), content_type="application/json")


def read_plan(bucket: Bucket, pipeline: str) -> RecordingPlan | None:
    """What a pipeline's requests are kept by; None where nobody said (raises UnavailableError)."""
    try:
        return RecordingPlan.model_validate_json(bucket.get(_key(pipeline)).body)
    except (AbsentError, ValidationError):
        return None


def _key(pipeline: str) -> str:
    return f"{pipeline}/recording.json"
