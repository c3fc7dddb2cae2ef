"""One night's steps, each run as a process of its own, in the order that a test likes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.artifacts.store import ArtifactStore
from nightshift.definition.model import PipelineDefinition
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepResult
from nightshift.steps.launch import run_step
from nightshift.steps.plan import plan_step
from tests.integration.servers import S3


@dataclass
class StepNight:
    """A pipeline's night. Use it with an ``S3`` whose environment is set.

    Attributes:
        s3: Where lake and artifacts lie.
        definition: The pipeline.
        night: The window's last day.
        results: Each step's result, once it has run.
        lines: What each step printed.
    """

    s3: S3
    definition: PipelineDefinition
    night: date
    results: dict[str, StepResult] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)

    @property
    def store(self) -> ArtifactStore:
        """The artifacts."""
        return ArtifactStore(self.s3.artifacts)

    def run(self, step: str, nonce: str = "") -> StepResult:
        """Run a step on what the steps before it made."""
        references = {name: self.made(name) for name in STEPS[step].inputs}
        request = plan_step(STEPS[step], self.definition, self.night, references, nonce=nonce)
        lines: list[str] = []
        result = run_step(request, self.store, on_line=lines.append)
        self.results[step], self.lines[step] = result, lines
        return result

    def run_all(self) -> None:
        """From the snapshot to the gate."""
        for step in ("snapshot", "statistics", "expectations", "train", "evaluate", "gate"):
            self.run(step)

    def made(self, step: str) -> ArtifactRef:
        """The artifact of a step that succeeded."""
        result = self.results[step]
        assert result.artifact is not None, result.error
        return result.artifact
