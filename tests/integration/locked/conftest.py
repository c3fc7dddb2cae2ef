"""A serving host with every door closed, shared by the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.locked.host import LockedHost, locked_host
from tests.integration.release.conftest import saved_models
from tests.integration.servers import S3

__all__ = ["saved_models"]


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, s3_of_module: S3, saved_models: Path
) -> Iterator[LockedHost]:
    """Version 1 of flights is live on it."""
    with locked_host(tmp_path_factory.mktemp("host"), s3_of_module, saved_models) as host:
        assert host.release_registered(host.register(1)).succeeded
        yield host
