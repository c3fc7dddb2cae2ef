"""The server that the contract suite talks to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightshift.release.address import Address, Upstream
from tests.integration.locked.doors import doors_before
from tests.integration.ports import free_port
from tests.integration.servers import ServerProcess
from tests.integration.serving.contract_models import build_all
from tests.integration.serving.endpoint import Edge, Endpoint

PIPELINES = ("half_plus", "delay", "answers", "slow", "pictures", "damaged", "nobody")
CLIENT = {"name": "suite", "pipelines": ["*"], "keys": ["key-of-the-suite-0123456789abcdef"]}
INCLUDE = Path(__file__).resolve().parents[3] / "include"


def server_process(
    log: Path, *, rest: int, grpc: int, options: tuple[str, ...] = ()
) -> ServerProcess:
    """Our server as a process, not started yet."""
    return ServerProcess(
        [
            sys.executable,
            "-m",
            "nightshift.serving.server",
            f"--port={grpc}",
            f"--rest_api_port={rest}",
            *options,
        ],
        log,
        {"PYTHONPATH": str(INCLUDE)},
    )


def wait_until_ready(server: ServerProcess) -> ServerProcess:
    """Wait for the line that says so."""
    return server.wait_for(
        lambda: "Model server ready" in server.output,
        seconds=90,
        what="the model server is ready",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What clients may ask, they may ask through the edge as well."""
    # Which versions there are is between the server and its configuration alone.
    about_versions = metafunc.module.__name__.endswith("versions")
    if "endpoint" not in metafunc.fixturenames or about_versions or Endpoint.named_in_environment():
        return
    metafunc.parametrize("endpoint", ["server", "edge"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def endpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    """The server by itself, or behind an Envoy with TLS and keys."""
    server = request.getfixturevalue("server")
    if getattr(request, "param", "server") == "server":
        yield server
        return
    address = server.rest.removeprefix("http://")
    upstream = Upstream(Address.parse(address), Address.parse(server.grpc))
    with doors_before(upstream, PIPELINES, [CLIENT], tmp_path_factory.mktemp("edge")) as doors:
        edge = Edge(server.rest, doors.authority.certificate, CLIENT["keys"][0])
        layout = doors.layout
        yield Endpoint(f"https://{layout.rest}", str(layout.grpc), server.models, edge)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The server named in the environment, or our own on free ports."""
    named = Endpoint.named_in_environment()
    if named is not None:
        yield named
        return
    folder = tmp_path_factory.mktemp("serving")
    models = folder / "models"
    build_all(models)
    rest, grpc = free_port(), free_port()
    options = (
        f"--model_config_file={models / 'models.config'}",
        "--model_config_file_poll_wait_seconds=0.2",
        "--file_system_poll_wait_seconds=0.2",
        "--allow_version_labels_for_unavailable_models",
        "--max_num_load_retries=0",
        "--prefer_tflite_model",
    )
    with server_process(folder / "server.log", rest=rest, grpc=grpc, options=options) as server:
        wait_until_ready(server)
        yield Endpoint(f"http://127.0.0.1:{rest}", f"127.0.0.1:{grpc}", models)
