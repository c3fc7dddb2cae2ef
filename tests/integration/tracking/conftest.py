"""A real MLflow server, shared by these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nightshift.runtimes import Runtime, python_of
from tests.integration.ports import free_port
from tests.integration.servers import ServerProcess, answers


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
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
    url = f"http://127.0.0.1:{port}"
    with ServerProcess(command, folder / "mlflow.log", environment) as server:
        server.wait_for(lambda: answers(f"{url}/health"), seconds=90, what="MLflow answers")
        yield url
