"""Serving hosts for the release tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightshift.release import requests
from nightshift.runtimes import Runtime, python_of
from tests.integration.release.rig import Machine, Rig
from tests.integration.servers import S3, wait_until

VERSIONS = range(1, 7)


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One SavedModel per version, made in a process of its own: TensorFlow stays out of here."""
    folder = tmp_path_factory.mktemp("saved_models")
    script = Path(__file__).with_name("make_saved_models.py")
    command = [str(python_of(Runtime.ML)), str(script), str(folder), *map(str, VERSIONS)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Model servers and Envoy."""
    yield from _running(Machine(tmp_path_factory.mktemp("machine")))


@pytest.fixture(scope="module")
def second_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Another host's model servers and Envoy."""
    yield from _running(Machine(tmp_path_factory.mktemp("second")))


@pytest.fixture
def rig(machine: Machine, tmp_path: Path, s3: S3, saved_models: Path) -> Iterator[Rig]:
    """One host, its agent running, nothing released yet."""
    rig = Rig(machine, tmp_path / "host", s3, saved_models)
    with rig.agent:
        yield rig


@pytest.fixture
def second(second_machine: Machine, rig: Rig, tmp_path: Path, saved_models: Path) -> Iterator[Rig]:
    """Another host beside the one of ``rig``, its agent running too."""
    second = Rig(second_machine, tmp_path / "second", rig.s3, saved_models, name="two")
    with second.agent:
        wait_until(lambda: _reports(rig, "two"), seconds=30, what="host two reports")
        yield second


def _reports(rig: Rig, name: str) -> bool:
    return any(host.host == name for host in requests.hosts(rig.bucket))


@pytest.fixture
def rig_with_own_s3(
    machine: Machine, tmp_path: Path, own_s3: S3, saved_models: Path
) -> Iterator[Rig]:
    """The same on an object store that the test may kill."""
    rig = Rig(machine, tmp_path / "host", own_s3, saved_models)
    with rig.agent:
        yield rig


def _running(machine: Machine) -> Iterator[Machine]:
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()
