"""What goes into a step, what comes out, and what a step's function may use meanwhile."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

from nightshift.artifacts.manifest import ArtifactRef, Manifest
from nightshift.errors import StepError

if TYPE_CHECKING:
    from nightshift.artifacts.store import Artifact, ArtifactStore

T = TypeVar("T")


class StepRequest(BaseModel):
    """Everything that a step is told. Holds no credentials: those come from the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    pipeline: str
    night: date
    """The last day of the window, in the pipeline's time zone."""
    key: str
    attempt: str
    inputs: dict[str, ArtifactRef] = {}
    parameters: dict[str, Any] = {}
    """Sections of pipeline.yaml that the step reads, as JSON values."""
    code: dict[str, str] = {}
    code_version: str = ""
    folder: Path
    """The pipeline's folder on this machine."""
    by: str = ""

    def section(self, name: str, type_: type[T]) -> T:
        """One section of the definition as its typed model (any type pydantic can validate)."""
        return TypeAdapter(type_).validate_python(self.parameters[name])

    def draft(self, kind: str, key: str, **told: Any) -> Manifest:
        """The manifest, before its files, of something that this step commits.

        Args:
            kind: Kind of the artifact.
            key: Its key: the request's own, or one derived from it.
            told: ``metrics``, ``facts`` and ``reports``.
        """
        return Manifest(
            pipeline=self.pipeline,
            kind=kind,
            key=key,
            attempt=self.attempt,
            files={},
            inputs=self.inputs,
            parameters=self.parameters,
            code=self.code,
            code_version=self.code_version,
            by=self.by,
            night=self.night.isoformat(),
            created=datetime.now(UTC),
            **told,
        )


class StepResult(BaseModel):
    """How a step ended: with an artifact, or with an error."""

    model_config = ConfigDict(frozen=True)

    artifact: ArtifactRef | None = None
    metrics: dict[str, float] = {}
    facts: dict[str, Any] = {}
    reports: dict[str, str] = {}
    """Title of each report to its S3 URI."""
    reused: bool = False
    seconds: float = 0.0
    tensorflow: bool = False
    """Whether the step's process imported TensorFlow: four seconds and 0.6 GB, so it is counted."""
    error: StepError | None = None


@dataclass(frozen=True)
class StepOutcome:
    """What a step's function returns; its files lie in the context's output folder."""

    metrics: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    reports: dict[str, str] = field(default_factory=dict)
    """Title of each report to its file's name in the output folder."""


@dataclass
class StepContext:
    """What a step's function works with.

    Attributes:
        request: The request.
        store: Where inputs are read from.
        output: Folder whose files become the artifact.
        work: Scratch folder, removed afterwards.
        failure_report: File name in ``output`` to show if the step raises; published, though
            nothing is committed.
        log: The step's logger; its lines stream into the task's log.
    """

    request: StepRequest
    store: ArtifactStore
    output: Path
    work: Path
    failure_report: str | None = None
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("nightshift.step"))

    def input(self, name: str) -> Artifact:
        """The named input's artifact, its manifest checked against the reference."""
        return self.store.open(self.request.inputs[name])

    def fetch(self, name: str) -> Path:
        """Download the named input whole, digests checked; returns its local folder."""
        return self.fetch_artifact(self.input(name), name)

    def fetch_artifact(self, artifact: Artifact, folder: str) -> Path:
        """Download any artifact into a scratch folder of that name."""
        target = self.work / "inputs" / folder
        target.mkdir(parents=True, exist_ok=True)
        self.store.fetch(artifact, target)
        return target
