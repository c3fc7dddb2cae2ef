"""The first night of the real survey: trained on 2015, held out 2016."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from nightshift.data.lake import Lake
from nightshift.data.seed import seed
from nightshift.definition.load import load_pipeline
from nightshift.definition.model import PipelineDefinition
from tests.integration.servers import S3, SeaweedServer, drop_buckets, make_buckets
from tests.integration.step_night import StepNight

NIGHT = date(2016, 12, 31)


def _definition() -> PipelineDefinition:
    """As shipped, gates too, but fewer epochs and bootstrap replicates."""
    shipped = load_pipeline("employment")
    training = shipped.training.model_copy(update={"epochs": 2, "profile": False})
    evaluation = shipped.evaluation.model_copy(update={"replicates": 200})
    return shipped.model_copy(update={"training": training, "evaluation": evaluation})


@pytest.fixture(scope="package")
def night(seaweed: SeaweedServer) -> Iterator[StepNight]:
    """Seeded and run from snapshot to gate."""
    s3 = S3(seaweed, "employment-artifacts", "employment-lake")
    make_buckets(seaweed.client_environment, s3.artifacts.name, s3.lake.name)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in s3.environment.items():
            environment.setenv(name, value)
        seed(Lake(s3.lake, "employment"), last=NIGHT)
        story = StepNight(s3, _definition(), NIGHT)
        story.run_all()
        yield story
    drop_buckets(seaweed.client_environment, s3.artifacts.name, s3.lake.name)
