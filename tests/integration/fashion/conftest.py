"""A short night of the real images: four days of the lake, the pipeline's own files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa
import pytest

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.artifacts.store import ArtifactStore
from nightshift.data.lake import Lake, parquet_bytes
from nightshift.data.seed import seed
from nightshift.data.sources import fashion
from nightshift.definition import PipelineDefinition, load_pipeline
from nightshift.release.candidate import Candidate
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepResult
from nightshift.steps.launch import run_step
from nightshift.steps.plan import plan_step
from tests.fashion_images import require_images
from tests.integration.servers import S3, SeaweedServer, drop_buckets, make_buckets

NIGHT = fashion.FIRST_DAY + timedelta(3)
DAYS = 4


@dataclass
class FashionNight:
    """The pipeline ``fashion`` over the lake's first four days, trained for a moment.

    Use it with an ``S3`` whose environment is set.

    Attributes:
        s3: Where lake and artifacts lie.
        results: Each step's result, once it has run.
        lines: What each step printed.
    """

    s3: S3
    results: dict[str, StepResult] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)

    @property
    def definition(self) -> PipelineDefinition:
        """As shipped, but one small epoch and gates that it can pass."""
        shipped = load_pipeline("fashion").model_dump(mode="json")
        shipped["training"] |= {
            "epochs": 2,
            "parameters": {"filters": 4, "units": 32, "dropout": 0},
        }
        shipped["gates"] = [
            {"metric": "accuracy", "floor": 0.5},
            {"metric": "log_loss", "margin": 0.1},
            {"metric": "accuracy", "floor": 0.0, "slice": "label", "minimum_rows": 1},
        ]
        folder = load_pipeline("fashion").folder
        return PipelineDefinition.model_validate({**shipped, "folder": folder})

    @property
    def store(self) -> ArtifactStore:
        """The artifacts."""
        return ArtifactStore(self.s3.artifacts)

    def run(self, step: str, *inputs: str, nonce: str = "") -> StepResult:
        """Run a step as a process of its own on what the named steps made."""
        references = {name: self.made(name) for name in inputs}
        request = plan_step(STEPS[step], self.definition, NIGHT, references, nonce=nonce)
        lines: list[str] = []
        result = run_step(request, self.store, on_line=lines.append)
        self.results[step], self.lines[step] = result, lines
        return result

    def made(self, step: str) -> ArtifactRef:
        """The artifact of a step that succeeded."""
        result = self.results[step]
        assert result.artifact is not None, result.error
        return result.artifact

    def champion(self) -> Candidate:
        """The trained model as a released version."""
        return Candidate(version=1, night=NIGHT - timedelta(1), model=self.made("train"))

    @contextmanager
    def spoiled(self, day: date, spoil: Callable[[pa.Table], pa.Table]) -> Iterator[None]:
        """Have another table as a day's file for a while."""
        lake = Lake(self.s3.lake, "fashion")
        key = lake.partition(day) + "part-0.parquet"
        table = next(t for d, t in fashion.days() if d == day)
        lake.bucket.put(key, parquet_bytes(spoil(table)))
        try:
            yield
        finally:
            lake.bucket.put(key, parquet_bytes(table))


@pytest.fixture(scope="package")
def night(seaweed: SeaweedServer) -> Iterator[FashionNight]:
    """Seeded and run from snapshot to gate."""
    require_images()
    s3 = S3(seaweed, "fashion-artifacts", "fashion-lake")
    make_buckets(seaweed.client_environment, s3.artifacts.name, s3.lake.name)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in s3.environment.items():
            environment.setenv(name, value)
        seed(Lake(s3.lake, "fashion"), last=NIGHT)
        story = FashionNight(s3)
        story.run("snapshot")
        for step in ("statistics", "expectations", "train"):
            story.run(step, "snapshot")
        story.run("evaluate", "snapshot", "train")
        story.run("gate", "snapshot", "evaluate")
        yield story
    drop_buckets(seaweed.client_environment, s3.artifacts.name, s3.lake.name)
