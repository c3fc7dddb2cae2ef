"""One small night whose model is trained once for all tests that only read it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.steps.contract import StepResult
from tests.integration.servers import S3, SeaweedServer, make_buckets
from tests.integration.training.small_night import SmallNight

# As nightshift.steps.launch sets it, for what these tests import into their own process.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


@dataclass(frozen=True)
class Trained:
    """A night with its first model."""

    night: SmallNight
    snapshot: ArtifactRef
    result: StepResult
    lines: tuple[str, ...]
    """What the training printed."""

    @property
    def model(self) -> ArtifactRef:
        """The model's artifact."""
        assert self.result.artifact is not None, self.result.error
        return self.result.artifact


@pytest.fixture(scope="package")
def trained(seaweed: SeaweedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """The first night: no champion yet."""
    s3 = S3(seaweed, "small-artifacts", "small-lake")
    make_buckets(seaweed.client_environment, s3.artifacts.name, s3.lake.name)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        night = SmallNight(s3, tmp_path_factory.mktemp("pipelines") / "small")
        night.write_model()
        snapshot = night.snapshot()
        result = night.run("train", {"snapshot": snapshot})
        yield Trained(night, snapshot, result, tuple(night.lines))
