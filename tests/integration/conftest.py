"""Servers that integration tests share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.servers import S3, SeaweedServer, drop_buckets, make_buckets

_number = itertools.count(1)

_ONE_PROCESS = ("night", "release", "serving", "employment")
"""Folders whose tests share what is dear to make; of all others a file stays together."""
_LONG = ("night", "release", "training", "serving", "locked")
"""What takes longest, longest first: whatever is left for the end keeps one process alone."""
_SECONDS_OF_A_NIGHT = 1200
"""Tests of whole nights may take so long: several nights and a restart, on a busy machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is long comes first, and may take its time."""
    items.sort(key=lambda item: _place(item.nodeid))
    for item in items:
        if _group(item.nodeid) == "night":
            item.add_marker(pytest.mark.timeout(_SECONDS_OF_A_NIGHT))


# The mark xdist_group would be shorter; pytest-xdist 3.8.0 does not find it with pytest 9.2.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes run tests: which of them stay together, in the order given."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    config.option.loadscopereorder = False
    return Groups(config, log)


def _group(nodeid: str) -> str:
    folder = _folder(nodeid)
    return folder if folder in _ONE_PROCESS else nodeid.split("::", maxsplit=1)[0]


def _place(nodeid: str) -> int:
    folder = _folder(nodeid)
    return _LONG.index(folder) if folder in _LONG else len(_LONG)


def _folder(nodeid: str) -> str:
    return nodeid.removeprefix("tests/integration/").split("/")[0]


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    """One SeaweedFS for all tests that do not harm it."""
    with SeaweedServer(tmp_path_factory.mktemp("seaweed")).start() as server:
        yield server.ready()


@pytest.fixture
def s3(seaweed: SeaweedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """Empty buckets of this test's own, with the environment set so that the project finds them.

    Read their names from ``s3.artifacts`` and ``s3.lake`` or from the environment
    (``artifact_bucket()``, ``lake_bucket()``): each test has others.
    """
    s3 = _with_buckets(seaweed, monkeypatch)
    yield s3
    drop_buckets(seaweed.client_environment, s3.artifacts.name, s3.lake.name)


@pytest.fixture(scope="module")
def s3_of_module(seaweed: SeaweedServer) -> Iterator[S3]:
    """As ``s3``, for all tests of a file: they share what one of them released."""
    with pytest.MonkeyPatch.context() as patch:
        s3 = _with_buckets(seaweed, patch)
        yield s3
        drop_buckets(seaweed.client_environment, s3.artifacts.name, s3.lake.name)


@pytest.fixture
def own_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """As ``s3``, on a SeaweedFS that this test alone uses and may kill and start again."""
    with SeaweedServer(tmp_path / "seaweed").start() as server:
        yield _with_buckets(server.ready(), monkeypatch)


def _with_buckets(server: SeaweedServer, monkeypatch: pytest.MonkeyPatch) -> S3:
    number = next(_number)
    s3 = S3(server, f"nightshift-{number}", f"lake-{number}")
    make_buckets(server.client_environment, s3.artifacts.name, s3.lake.name)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3
