"""One small night with compression, its steps run once for all tests that read what they made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.definition.compression import Target
from nightshift.definition.model import PipelineDefinition
from nightshift.steps.contract import StepResult
from tests.integration.servers import S3, SeaweedServer, make_buckets
from tests.integration.training.small_night import NIGHT, SmallNight

MODEL = """
import tf_keras

def build(features, parameters):
    layers = tf_keras.layers
    inputs = {n: tf_keras.Input(shape=(1,), name=n, dtype=f.dtype) for n, f in features.items()}
    hidden = layers.Concatenate()(list(inputs.values()))
    for units in (64, 64):
        hidden = layers.Dense(units, activation="relu")(hidden)
    output = layers.Dense(1, activation="sigmoid", name="probability")(hidden)
    return tf_keras.Model(inputs, output)
"""

COMPRESSION: dict[str, Any] = {
    "targets": ["int8", "pruned"],
    "edge": "int8",
    "budgets": {"max_metric_drop": 0.05},
    "overrides": {"pruned": {"max_size_ratio": 0.5}},
    "calibration_rows": 200,
    "finetune_epochs": 1,
}


@dataclass
class CompressedNight:
    """A trained model of float features, its variants, and what was said of them."""

    night: SmallNight
    definition: PipelineDefinition
    snapshot: ArtifactRef
    train: ArtifactRef
    variants: dict[str, ArtifactRef] = field(default_factory=dict)
    results: dict[str, StepResult] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)

    def run(self, step: str, inputs: dict[str, ArtifactRef], **how: Any) -> StepResult:
        """Run a step as a process of its own, and keep its result and its lines."""
        definition = how.pop("definition", self.definition)
        result = self.night.run(step, inputs, definition, **how)
        self.results[step], self.lines[step] = result, self.night.lines
        return result

    def quantize(self, target: Target) -> StepResult:
        """Make one variant."""
        recipe = self.definition.compression.recipe_of(target).model_dump(mode="json")
        inputs = {"snapshot": self.snapshot, "train": self.train}
        result = self.run("quantize", inputs, own={"recipe": recipe})
        self.variants[f"quantize.{target}"] = made(result)
        return result

    def edge(self, budgets: ArtifactRef, target: Target = Target.INT8) -> StepResult:
        """Make the bundle of version 7."""
        inputs = {"quantize": self.variants[f"quantize.{target}"], "budgets": budgets}
        registered = {
            "version": 7,
            "night": NIGHT.isoformat(),
            "model_digest": self.train.digest,
        }
        return self.run("edge", inputs, own={"registered": registered})


def made(result: StepResult) -> ArtifactRef:
    """The artifact of a step that succeeded."""
    assert result.artifact is not None, result.error
    return result.artifact


@pytest.fixture(scope="package")
def compressed(
    seaweed: SeaweedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CompressedNight]:
    """Train, quantize, evaluate, judge."""
    s3 = S3(seaweed, "compressed-artifacts", "compressed-lake")
    make_buckets(seaweed.client_environment, s3.artifacts.name, s3.lake.name)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        night = SmallNight(s3, tmp_path_factory.mktemp("pipelines") / "small")
        night.write_model(MODEL)
        definition = night.definition(
            features={"size": "float", "weight": "float"}, compression=COMPRESSION
        )
        snapshot = night.snapshot()
        train = made(night.run("train", {"snapshot": snapshot}, definition))
        story = CompressedNight(night, definition, snapshot, train)
        for target in definition.compression.targets:
            story.quantize(target)
        measured = story.run("evaluate_variants", {"snapshot": snapshot, **story.variants})
        judged = story.run("budgets", {"evaluate_variants": made(measured)})
        story.edge(made(judged))
        yield story
