"""Training steps as Airflow runs them, on a SeaweedFS of their own."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.integration.servers import S3, SeaweedServer, make_buckets

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.artifacts.store import ArtifactStore
from nightshift.data.lake import Lake
from nightshift.data.seed import seed
from nightshift.definition.load import load_pipeline
from nightshift.definition.model import PipelineDefinition, Window
from nightshift.definition.training import Training
from nightshift.steps.catalog import SNAPSHOT, TRAIN, StepSpec
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.launch import StepProcess
from nightshift.steps.plan import plan_step

NIGHT = date(2013, 8, 31)


class Rig:
    """The flights pipeline on a lake that a benchmark fills as it likes.

    Args:
        s3: Whose environment is set.
        window: Days of data; the last seven are held out.
    """

    def __init__(self, s3: S3, window: int = 90) -> None:
        self.s3 = s3
        self.store = ArtifactStore(s3.artifacts)
        self.lake = Lake(s3.lake, "flights")
        self.definition = load_pipeline("flights").model_copy(
            update={"window": Window(days=window, holdout_days=7, minimum_rows_per_day=1)}
        )

    def seed(self) -> None:
        """Write the real flights up to the night."""
        seed(self.lake, last=NIGHT)

    def snapshot(self, night: date = NIGHT, nonce: str = "") -> ArtifactRef:
        """Pin the window; with another nonce anew, for a lake that was written again."""
        result = self.run(self.request(SNAPSHOT, self.definition, {}, nonce, night))
        assert result.artifact is not None, result.error
        return result.artifact

    def train_request(
        self, snapshot: ArtifactRef, nonce: str = "", night: date = NIGHT, **training: Any
    ) -> StepRequest:
        """The train step with some of ``training`` replaced; another nonce, another artifact."""
        changed = Training.model_validate({**self.definition.training.model_dump(), **training})
        definition = self.definition.model_copy(update={"training": changed})
        return self.request(TRAIN, definition, {"snapshot": snapshot}, nonce, night)

    @staticmethod
    def request(
        spec: StepSpec,
        definition: PipelineDefinition,
        inputs: dict[str, ArtifactRef],
        nonce: str = "",
        night: date = NIGHT,
    ) -> StepRequest:
        """Plan a step."""
        return plan_step(spec, definition, night, inputs, by="benchmark", nonce=nonce)

    def run(
        self, request: StepRequest, on_line: Callable[[str], None] = lambda line: None
    ) -> StepResult:
        """Run a step as a process of its own, to its end."""
        return StepProcess(request).run(on_line)


@contextmanager
def rig(window: int = 90) -> Iterator[Rig]:
    """A rig whose server and files go when the block ends, also by SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        tempfile.TemporaryDirectory(prefix="nightshift-benchmark-") as folder,
        SeaweedServer(Path(folder)).start() as server,
    ):
        s3 = S3(server.ready(), "benchmark", "benchmark-lake")
        make_buckets(server.client_environment, s3.artifacts.name, s3.lake.name)
        os.environ.update(s3.environment)
        yield Rig(s3, window)


def processor() -> str:
    """The processor's name and how many cores of it this process may use."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown'}, {len(os.sched_getaffinity(0))} cores"
