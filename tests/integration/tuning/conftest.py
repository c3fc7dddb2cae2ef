"""A search that was killed and resumed once, for all tests that look at what is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.definition.model import PipelineDefinition
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.launch import StepProcess
from tests.integration.servers import S3, SeaweedServer, make_buckets
from tests.integration.tracking.conftest import mlflow_server  # noqa: F401 - a fixture
from tests.integration.training.small_night import DEFINITION, SmallNight

TRIALS, KILLED_AFTER = 5, 2
TUNING = {
    "space": {
        "learning_rate": {"low": 0.0005, "high": 0.1, "log": True},
        "scale": {"low": 0.5, "high": 4},
    },
    "trials": TRIALS,
    "parallel": 2,
    "validation_share": 0.3,
}


@dataclass(frozen=True)
class Searched:
    """One night whose search was killed and resumed."""

    night: SmallNight
    definition: PipelineDefinition
    snapshot: ArtifactRef
    request: StepRequest
    ended_before: list[str]
    """What the killed attempt said of trials that ended."""
    killed: list[int]
    """Its processes."""
    result: StepResult
    """Of the second attempt."""
    lines: list[str]


@pytest.fixture(scope="package")
def searched(
    seaweed: SeaweedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Searched]:
    s3 = S3(seaweed, "tuning-artifacts", "tuning-lake")
    make_buckets(seaweed.client_environment, s3.artifacts.name, s3.lake.name)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        night = SmallNight(s3, tmp_path_factory.mktemp("pipelines") / "small")
        night.write_model()
        training = {**DEFINITION["training"], "parameters": {"scale": 1.0}}
        definition = night.definition(training=training, tuning=TUNING)
        snapshot = night.snapshot()
        request = night.request("tune", {"snapshot": snapshot}, definition)
        ended, killed = _kill_after(request, KILLED_AFTER)
        lines: list[str] = []
        result = StepProcess(request).run(lines.append)
        assert result.error is None, result.error
        yield Searched(night, definition, snapshot, request, ended, killed, result, lines)


def _kill_after(request: StepRequest, trials: int) -> tuple[list[str], list[int]]:
    """Run a search, and kill its whole process group when so many trials have ended."""
    process = StepProcess(request)
    ended: list[str] = []
    killed: list[int] = []

    def hear(line: str) -> None:
        if line.startswith("trial "):
            ended.append(line)
        if len(ended) == trials and not killed:
            assert process._process is not None
            leader = process._process.pid
            killed.extend(_group(leader))
            os.killpg(leader, signal.SIGKILL)

    assert process.run(hear).artifact is None
    return ended, killed


def _group(leader: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == leader:
                found.append(int(folder.name))
        except ProcessLookupError:
            continue
    return found
