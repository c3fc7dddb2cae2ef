"""Our server as a process: how it starts, how it follows its configuration file, how it ends."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.integration.ports import free_port
from tests.integration.servers import ServerProcess, wait_until
from tests.integration.serving.conftest import INCLUDE, server_process, wait_until_ready
from tests.integration.serving.contract_models import (
    build_half_plus,
    build_slow,
    model_entry,
)


@dataclass
class Server:
    """A running server of one test.

    Attributes:
        process: The process.
        rest: Address of its REST API.
        folder: Holds `models.config` (not there at first) and the models.
    """

    process: ServerProcess
    rest: str
    folder: Path

    def configure(self, *entries: str) -> None:
        """Replace the configuration file by a rename."""
        self.replace_config("model_config_list {\n" + "\n".join(entries) + "\n}\n")

    def replace_config(self, text: str) -> None:
        """Replace the configuration file, whatever the text."""
        (self.folder / "fresh").write_text(text)
        (self.folder / "fresh").rename(self.folder / "models.config")

    def predict(self, model: str, value: float, timeout: float = 30) -> httpx.Response:
        """One REST prediction."""
        url = f"{self.rest}/v1/models/{model}:predict"
        return httpx.post(url, json={"instances": [value]}, timeout=timeout)

    def state(self, model: str, version: int = 1) -> str:
        """State of one version; empty where it was never seen."""
        answer = httpx.get(f"{self.rest}/v1/models/{model}/versions/{version}").json()
        return str(answer["model_version_status"][0]["state"]) if "error" not in answer else ""

    def wait_for_state(self, state: str, model: str, version: int = 1) -> None:
        """Wait until a version is in a state."""
        wait_until(
            lambda: self.state(model, version) == state,
            seconds=30,
            what=f"{model}/{version} {state}",
        )

    def wait_for_log(self, text: str) -> None:
        """Wait until the server has logged something."""
        wait_until(lambda: text in self.process.output, seconds=30, what=f"{text!r} in the log")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that was started before its configuration file was there."""
    rest, grpc = free_port(), free_port()
    options = (
        f"--model_config_file={tmp_path / 'models.config'}",
        "--model_config_file_poll_wait_seconds=0.1",
        "--file_system_poll_wait_seconds=0.1",
        "--max_num_load_retries=1",
        "--load_retry_interval_micros=500000",
    )
    process = server_process(tmp_path / "server.log", rest=rest, grpc=grpc, options=options)
    with process:
        wait_until_ready(process)
        yield Server(process, f"http://127.0.0.1:{rest}", tmp_path)


def test_it_follows_its_configuration_file_and_keeps_the_last_good_one(
    server: Server,
) -> None:
    build_half_plus(server.folder / "a" / "1", 1.0)
    assert server.predict("a", 0.0).status_code == 404  # no file yet: no models

    server.configure(model_entry("a", server.folder / "a"))
    server.wait_for_state("AVAILABLE", "a")

    server.replace_config("model_config_list { config { name: ")
    server.wait_for_log("Keeping the last good model configuration: INVALID_ARGUMENT")
    time.sleep(0.5)  # several polls: the same complaint is not made again
    assert server.process.output.count("Keeping the last good model configuration") == 1

    (server.folder / "models.config").unlink()
    server.wait_for_log("no such file")
    assert server.predict("a", 0.0).json() == {"predictions": [1.0]}

    server.configure()
    server.wait_for_state("END", "a")
    assert server.predict("a", 0.0).status_code == 404
    assert "Traceback" not in server.process.output


def test_a_label_waits_for_its_version(server: Server) -> None:
    build_half_plus(server.folder / "a" / "1", 1.0)
    labelled = model_entry("a", server.folder / "a", labels={"live": 1})

    server.configure(labelled)
    server.wait_for_log("Request to assign label to version 1 of model a")
    assert server.state("a") == ""

    server.configure(model_entry("a", server.folder / "a"))
    server.wait_for_state("AVAILABLE", "a")
    server.configure(labelled)

    wait_until(
        lambda: server.predict("a/labels/live", 0.0).status_code == 200,
        seconds=30,
        what="the label is assigned",
    )


def test_a_failed_load_is_tried_again(server: Server) -> None:
    version = server.folder / "a" / "1"
    version.mkdir(parents=True)
    server.configure(model_entry("a", server.folder / "a"))
    server.wait_for_log("trying again in 0.5 s, 1 tries left")
    assert server.state("a") == "LOADING"

    build_half_plus(version, 1.0)

    server.wait_for_state("AVAILABLE", "a")


def test_sigterm_lets_a_request_in_flight_end_and_then_leaves(server: Server) -> None:
    build_slow(server.folder / "slow" / "1")
    server.configure(model_entry("slow", server.folder / "slow"))
    server.wait_for_state("AVAILABLE", "slow")
    steps = _steps_for(server, seconds=1.0)

    with ThreadPoolExecutor(1) as client:
        answer = client.submit(server.predict, "slow", steps)
        time.sleep(0.3)
        code = server.process.stop()

    assert code == 0
    assert answer.result().json() == {"predictions": [64.0]}


def test_sigterm_does_not_wait_for_ever(server: Server) -> None:
    build_slow(server.folder / "slow" / "1")
    server.configure(model_entry("slow", server.folder / "slow"))
    server.wait_for_state("AVAILABLE", "slow")

    with ThreadPoolExecutor(1) as client:
        answer = client.submit(server.predict, "slow", 2**40)
        time.sleep(0.3)
        started = time.monotonic()
        code = server.process.stop()
        took = time.monotonic() - started

    assert code == 0  # by itself: stop() would have killed it after 10 s
    assert took > 2
    assert answer.exception() is not None


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        ended = _run("--port=0", f"--rest_api_port={port}", f"--model_base_path={tmp_path}")

    assert ended.returncode == 1
    line = f"Cannot listen on 127.0.0.1:{port}: Address already in use. Stop what listens there, or"
    assert ended.stderr == f"{line} choose another --rest_api_port.\n"


def test_a_wrong_configuration_that_is_read_once_ends_the_server(
    tmp_path: Path,
) -> None:
    config = tmp_path / "models.config"
    config.write_text('model_config_list { config { name: "a" base_path: "relative" } }')

    ended = _run(f"--port={free_port()}", f"--model_config_file={config}")

    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(
        f"Cannot start with this model configuration: INVALID_ARGUMENT: {config}: "
    )


def _run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nightshift.serving.server", *options],
        env={"PYTHONPATH": str(INCLUDE), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def _steps_for(server: Server, seconds: float) -> int:
    probe = 20_000
    server.predict("slow", 10)
    started = time.perf_counter()
    server.predict("slow", probe)
    return int(probe * seconds / (time.perf_counter() - started))
