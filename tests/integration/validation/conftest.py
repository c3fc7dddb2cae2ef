"""One lake of real flights for all tests about validation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.flights_lake import FlightsLake
from tests.integration.servers import S3, SeaweedServer, drop_buckets, make_buckets


@pytest.fixture(scope="module")
def flights(seaweed: SeaweedServer) -> Iterator[FlightsLake]:
    """The lake; a test that spoils a day puts it right again."""
    s3 = S3(seaweed, "nightshift-validation", "lake-validation")
    make_buckets(seaweed.client_environment, s3.artifacts.name, s3.lake.name)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in s3.environment.items():
            environment.setenv(name, value)
        yield FlightsLake(s3)
    drop_buckets(seaweed.client_environment, s3.artifacts.name, s3.lake.name)
