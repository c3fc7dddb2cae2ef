"""MLflow's aliases follow the release log, and a release never waits for MLflow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nightshift.release import machine
from nightshift.release.aliases import AliasMirror
from nightshift.runtimes import Runtime, python_of
from tests.integration.ports import free_port
from tests.integration.servers import ServerProcess, answers, wait_until
from tests.unit.release.builders import follow, released

API = "/api/2.0/mlflow/registered-models"


class Registry:
    """A real MLflow with the versions 1 to 3 of `flights` registered; may be stopped."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command: list[str | Path] = [
            python_of(Runtime.ML).parent / "mlflow",
            "server",
            "--host=127.0.0.1",
            f"--port={port}",
            f"--backend-store-uri=sqlite:///{folder}/mlflow.db",
            f"--artifacts-destination={folder}/artifacts",
            "--workers=1",
        ]
        path = f"{python_of(Runtime.ML).parent}:/usr/bin:/bin"
        environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PATH": path}
        self.process = ServerProcess(command, folder / "mlflow.log", environment)

    def start(self) -> None:
        self.process.start()
        self.process.wait_for(
            lambda: answers(f"{self.url}/health"), seconds=120, what="MLflow answers"
        )

    def register(self) -> None:
        httpx.post(f"{self.url}{API}/create", json={"name": "flights"}).raise_for_status()
        for version in range(1, 4):
            body = {"name": "flights", "source": f"s3://b/{version}"}
            url = f"{self.url}/api/2.0/mlflow/model-versions/create"
            httpx.post(url, json=body, timeout=20).raise_for_status()

    def alias(self, name: str) -> int | None:
        answer = httpx.get(f"{self.url}{API}/alias", params={"name": "flights", "alias": name})
        return int(answer.json()["model_version"]["version"]) if answer.is_success else None

    def follows(self, champion: int | None, previous: int | None) -> bool:
        return (self.alias("champion"), self.alias("previous")) == (champion, previous)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    registry = Registry(tmp_path_factory.mktemp("mlflow"))
    with registry.process:
        registry.process.wait_for(
            lambda: answers(f"{registry.url}/health"), seconds=120, what="MLflow answers"
        )
        registry.register()
        yield registry


def test_aliases_follow_releases_rollbacks_and_an_absent_mlflow(registry: Registry) -> None:
    mirror = AliasMirror(registry.url)
    mirror.start()
    record = released(1, 2)
    mirror.show({"flights": record})
    wait_until(lambda: registry.follows(2, 1), seconds=20, what="aliases after the releases")

    back = follow(record, machine.roll_back(record, by="t", reason="wrong"))
    mirror.show({"flights": back})
    wait_until(lambda: registry.follows(1, None), seconds=20, what="aliases after the roll-back")

    registry.process.kill()
    began = time.monotonic()
    mirror.show({"flights": released(1, 3)})
    assert time.monotonic() - began < 0.1, "nobody waits for MLflow"
    time.sleep(1)
    registry.start()
    wait_until(lambda: registry.follows(3, 1), seconds=30, what="aliases once MLflow is back")
