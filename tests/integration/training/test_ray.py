"""Training on a real Ray cluster of one machine; two nodes are in ``benchmarks/ray_two_nodes``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightshift.errors import ErrorKind
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.launch import StepProcess
from tests.integration.ports import free_port
from tests.integration.ray_node import RayNode
from tests.integration.training.conftest import Trained
from tests.integration.training.small_night import DEFINITION

ON_RAY = {"strategy": "multi_worker", "cluster": "ray", "workers": 2}


@pytest.fixture(scope="module")
def node(trained: Trained) -> Iterator[RayNode]:
    with RayNode(trained.night.s3.environment, cpus=2).start() as node:
        yield node.ready()
    assert node.processes() == []


def request_of(trained: Trained, nonce: str = "", **training: object) -> StepRequest:
    """The small night's train step, on Ray."""
    changed = {**DEFINITION["training"], **ON_RAY, **training}
    definition = trained.night.definition(training=changed)
    return trained.night.request("train", {"snapshot": trained.snapshot}, definition, nonce)


def run(
    request: StepRequest, node: RayNode, *, kill_at: str = "", grace: float = 0.0
) -> tuple[StepResult, list[str]]:
    """Run the step; end it (by force, or politely) once it prints a text."""
    process = StepProcess(request, node.client_environment)
    lines: list[str] = []

    def read(line: str) -> None:
        lines.append(line)
        if kill_at and kill_at in line:
            process.kill(grace)

    return process.run(read), lines


def test_a_job_outlives_its_step_and_is_found_again_by_the_next(
    trained: Trained, node: RayNode, tmp_path: Path
) -> None:
    request = request_of(trained)
    # As when an Airflow worker dies: the step is gone at once and says nothing to anybody.
    died, _ = run(request, node, kill_at="Ray job nightshift-small-")
    assert died.error is not None
    assert died.error.kind is ErrorKind.DEFECT

    result, lines = run(request.model_copy(update={"attempt": "second"}), node)
    assert result.artifact is not None, "\n".join(lines)
    assert any("runs already: following it" in line for line in lines)
    assert list(node.jobs().values()) == ["SUCCEEDED"]
    assert any(line.startswith("worker-0: epoch 2/2 loss") for line in lines)

    folder = trained.night.fetch(result.artifact, tmp_path)
    history = json.loads((folder / "history.json").read_text())
    alone = trained.result.facts["epochs"]
    assert [e["loss"] for e in history] == pytest.approx([e["loss"] for e in alone], rel=1e-4)


def test_a_step_that_is_told_to_end_stops_the_job_on_every_node(
    trained: Trained, node: RayNode
) -> None:
    request = request_of(trained, nonce="stopped")
    run(request, node, kill_at="Ray job nightshift-small-", grace=10.0)
    assert node.jobs()[f"nightshift-small-{request.key[:20]}-1"] == "STOPPED"


def test_no_credential_reaches_rays_logs(trained: Trained, node: RayNode) -> None:
    secret = trained.night.s3.environment["AWS_SECRET_ACCESS_KEY"].encode()
    logs = [path for path in (node.folder / "r").rglob("*") if path.is_file()]
    assert any(path.name == "runtime_env_agent.log" for path in logs)
    assert not [path for path in logs if secret in path.read_bytes()]


def test_a_wrong_token_is_told_as_such(trained: Trained, node: RayNode) -> None:
    request = request_of(trained, nonce="refused")
    process = StepProcess(request, {**node.client_environment, "RAY_AUTH_TOKEN": "wrong"})
    error = process.run(lambda line: None).error
    assert error is not None
    assert error.kind is ErrorKind.UNAVAILABLE
    assert "refuses the token" in error.message


def test_a_cluster_that_is_not_there_is_retried(trained: Trained) -> None:
    request = request_of(trained, nonce="away")
    nowhere = {"NIGHTSHIFT_RAY_ADDRESS": f"http://127.0.0.1:{free_port()}"}
    error = StepProcess(request, nowhere).run(lambda line: None).error
    assert error is not None
    assert error.kind is ErrorKind.UNAVAILABLE
    assert "does not take the job" in error.message


def test_without_an_address_the_error_says_what_to_set(trained: Trained) -> None:
    error = StepProcess(request_of(trained, nonce="unset")).run(lambda line: None).error
    assert error is not None
    assert error.kind is ErrorKind.BAD_DEFINITION
    assert "nightshift_ray" in error.message
