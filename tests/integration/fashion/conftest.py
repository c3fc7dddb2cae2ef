"""A short night of the real images: four days of the lake, the pipeline's own files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import pyarrow as pa
import pytest

from nightshift.data.lake import Lake, parquet_bytes
from nightshift.data.seed import seed
from nightshift.data.sources import fashion
from nightshift.definition.load import load_pipeline
from nightshift.definition.model import PipelineDefinition
from nightshift.release.candidate import Candidate
from tests.fashion_images import require_images
from tests.integration.servers import S3, SeaweedServer, drop_buckets, make_buckets
from tests.integration.step_night import StepNight

NIGHT = fashion.FIRST_DAY + timedelta(3)
DAYS = 4


def _definition() -> PipelineDefinition:
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


class FashionNight(StepNight):
    """The pipeline ``fashion`` over the lake's first four days, trained for a moment."""

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
        story = FashionNight(s3, _definition(), NIGHT)
        story.run_all()
        yield story
    drop_buckets(seaweed.client_environment, s3.artifacts.name, s3.lake.name)
