"""Versions come and go with the configuration file and the disk, and requests do not notice.

Part of the contract suite for model servers; it has only been run against our own. README.md in
this folder says how to run it against the real TensorFlow Serving.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2

from tests.integration.servers import wait_until
from tests.integration.serving.contract_models import (
    add_warmup,
    base_config,
    build_half_plus,
    build_slow,
    model_entry,
)
from tests.integration.serving.endpoint import Endpoint, State, floats, steps_for


@pytest.fixture
def base_path(endpoint: Endpoint, request: pytest.FixtureRequest) -> Iterator[Path]:
    """An empty base path of this test's own; its name is the model's name too."""
    path = endpoint.models / request.node.name
    path.mkdir()
    yield path
    shutil.rmtree(path)


def _prediction(endpoint: Endpoint, target: str) -> float:
    answer = endpoint.post(f"{target}:predict", {"instances": [0.0]})
    assert answer.status_code == 200, answer.text
    return float(answer.json()["predictions"][0])


def test_a_model_added_to_the_file_is_served_and_one_removed_is_not(
    endpoint: Endpoint, base_path: Path
) -> None:
    build_half_plus(base_path / "1", 5.0)

    with endpoint.also_serving(model_entry(base_path.name, base_path)):
        endpoint.wait_for_state(base_path.name, 1, State.AVAILABLE)
        assert _prediction(endpoint, base_path.name) == 5.0

    endpoint.wait_for_state(base_path.name, 1, State.END)
    assert endpoint.status(base_path.name, 1).model_version_status[0].status.error_code == 0
    assert endpoint.post(f"{base_path.name}:predict", {"instances": [0.0]}).status_code == 404


def test_the_latest_version_takes_over_without_a_failed_request(
    endpoint: Endpoint, base_path: Path
) -> None:
    build_half_plus(base_path / "1", 1.0)
    build_half_plus(base_path / "half-written", 2.0)
    name = base_path.name
    with endpoint.also_serving(model_entry(name, base_path)):
        endpoint.wait_for_state(name, 1, State.AVAILABLE)
        asked, done = threading.Event(), threading.Event()
        with ThreadPoolExecutor(1) as client:
            answers = client.submit(_ask_until, endpoint, name, asked, done)
            assert asked.wait(30)
            (base_path / "half-written").rename(base_path / "2")
            endpoint.wait_for_state(name, 2, State.AVAILABLE)
            endpoint.wait_for_state(name, 1, State.END)
            done.set()

        assert set(answers.result()) == {1.0, 2.0}
        assert _prediction(endpoint, name) == 2.0


def _ask_until(
    endpoint: Endpoint, name: str, asked: threading.Event, done: threading.Event
) -> list[float]:
    answers = []
    while not done.is_set():
        answers.append(_prediction(endpoint, name))
        asked.set()
    return [*answers, _prediction(endpoint, name)]


def test_a_folder_that_is_no_number_is_no_version(endpoint: Endpoint, base_path: Path) -> None:
    build_half_plus(base_path / "1", 1.0)
    build_half_plus(base_path / "2.partial", 2.0)

    with endpoint.also_serving(model_entry(base_path.name, base_path, policy="all { }")):
        endpoint.wait_for_state(base_path.name, 1, State.AVAILABLE)
        statuses = endpoint.status(base_path.name).model_version_status

    assert [status.version for status in statuses] == [1]


def test_the_policy_latest_n_keeps_the_n_highest(endpoint: Endpoint, base_path: Path) -> None:
    for version in (1, 2, 10):
        build_half_plus(base_path / str(version), float(version))
    entry = model_entry(base_path.name, base_path, policy="latest { num_versions: 2 }")

    with endpoint.also_serving(entry):
        endpoint.wait_for_state(base_path.name, 10, State.AVAILABLE)
        endpoint.wait_for_state(base_path.name, 2, State.AVAILABLE)

        assert endpoint.state(base_path.name, 1) == State.UNKNOWN


def test_a_broken_version_ends_with_an_error_and_harms_nobody(
    endpoint: Endpoint, base_path: Path
) -> None:
    build_half_plus(base_path / "1", 1.0)
    name = base_path.name
    with endpoint.also_serving(model_entry(name, base_path)):
        endpoint.wait_for_state(name, 1, State.AVAILABLE)
        (base_path / "broken").mkdir()
        (base_path / "broken" / "saved_model.pb").write_bytes(b"this is no SavedModel")
        (base_path / "broken").rename(base_path / "2")

        endpoint.wait_for_state(name, 2, State.END)

        status = endpoint.status(name, 2).model_version_status[0].status
        assert status.error_code != 0
        assert status.error_message
        assert _prediction(endpoint, name) == 1.0
        assert _prediction(endpoint, "half_plus") == 3.0
        (base_path / "2").rename(base_path / "withdrawn")


def test_an_empty_version_folder_is_a_failed_load(endpoint: Endpoint, base_path: Path) -> None:
    (base_path / "1").mkdir()

    with endpoint.also_serving(model_entry(base_path.name, base_path)):
        endpoint.wait_for_state(base_path.name, 1, State.END)
        answer = endpoint.get(f"{base_path.name}/versions/1").json()

    status = answer["model_version_status"][0]["status"]
    assert status["error_code"] == "NOT_FOUND"
    assert "Could not find SavedModel" in status["error_message"]


def test_the_versions_named_take_over_from_those_named_before(
    endpoint: Endpoint, base_path: Path
) -> None:
    for version in (1, 2):
        build_half_plus(base_path / str(version), float(version))
    name = base_path.name
    with endpoint.also_serving(model_entry(name, base_path, versions=[1])):
        endpoint.wait_for_state(name, 1, State.AVAILABLE)

        endpoint.write_config(
            base_config(endpoint.models, model_entry(name, base_path, versions=[2]))
        )
        endpoint.wait_for_state(name, 2, State.AVAILABLE)
        endpoint.wait_for_state(name, 1, State.END)

        assert _prediction(endpoint, name) == 2.0


def test_a_request_in_flight_outlives_its_version(endpoint: Endpoint, base_path: Path) -> None:
    build_slow(base_path / "1")
    name = base_path.name
    with (
        endpoint.also_serving(model_entry(name, base_path)),
        ThreadPoolExecutor(1) as client,
    ):
        endpoint.wait_for_state(name, 1, State.AVAILABLE)
        steps = steps_for(endpoint, name, seconds=2.0)
        answer = client.submit(endpoint.post, f"{name}:predict", {"instances": [steps]})
        time.sleep(0.3)

        endpoint.write_config(base_config(endpoint.models))
        endpoint.wait_for_state(name, 1, State.UNLOADING)

        assert not answer.done(), "the request was too quick to show anything"
        assert answer.result().json() == {"predictions": [64.0]}
        endpoint.wait_for_state(name, 1, State.END)


def test_a_label_moves_once_its_new_version_is_available(
    endpoint: Endpoint, base_path: Path
) -> None:
    for version in (1, 2):
        build_half_plus(base_path / str(version), float(version))
    name = base_path.name

    def entry(label_at: int) -> str:
        return model_entry(name, base_path, versions=[1, 2], labels={"live": label_at})

    with endpoint.also_serving(entry(1)):
        endpoint.wait_for_state(name, 1, State.AVAILABLE)
        endpoint.wait_for_state(name, 2, State.AVAILABLE)
        assert _prediction(endpoint, f"{name}/labels/live") == 1.0

        endpoint.write_config(base_config(endpoint.models, entry(2)))

        wait_until(
            lambda: _prediction(endpoint, f"{name}/labels/live") == 2.0,
            seconds=30,
            what="the label names version 2",
        )


def test_a_warm_up_request_that_fails_keeps_the_version_out(
    endpoint: Endpoint, base_path: Path
) -> None:
    build_half_plus(base_path / "1", 1.0)
    add_warmup(base_path / "1", base_path.name, {"x": [1.0]})

    with endpoint.also_serving(model_entry(base_path.name, base_path)):
        endpoint.wait_for_state(base_path.name, 1, State.END)
        failed = endpoint.status(base_path.name, 1).model_version_status[0].status

    assert failed.error_code == 3, "float64 warm-up records cannot be fed to a float32 input"


def test_good_warm_up_requests_let_the_version_through(endpoint: Endpoint, base_path: Path) -> None:
    build_half_plus(base_path / "1", 1.0)
    path = base_path / "1"
    add_warmup(path, base_path.name, {"x": floats(1.0)})

    with endpoint.also_serving(model_entry(base_path.name, base_path)):
        endpoint.wait_for_state(base_path.name, 1, State.AVAILABLE)
        page = endpoint.metrics()

    assert (
        f':tensorflow:serving:model_warmup_latency_count{{model_path="{path}",status="OK"}} 1'
        in page
    )


def test_reload_request_answers_when_the_new_model_serves(
    endpoint: Endpoint, base_path: Path
) -> None:
    build_half_plus(base_path / "1", 1.0)
    request = _reload_request(base_config(endpoint.models, model_entry(base_path.name, base_path)))

    endpoint.reload(request)

    # The file, which does not name the model, has its way again at the next poll.
    assert endpoint.state(base_path.name, 1) in (
        State.AVAILABLE,
        State.UNLOADING,
        State.END,
    )
    assert endpoint.status(base_path.name, 1).model_version_status[0].status.error_code == 0
    endpoint.wait_for_state(base_path.name, 1, State.END)


def _entries(*models: str) -> str:
    entries = [
        f'config {{ name: "{name}" base_path: "{path}" model_platform: "{platform}" }}'
        for name, path, platform in map(str.split, models)
    ]
    return f"model_config_list {{ {' '.join(entries)} }}"


@pytest.mark.parametrize(
    ("config", "sense"),
    [
        ("", "Only ModelConfigList is currently supported"),
        (
            _entries("a relative tensorflow"),
            "Expected model a to have an absolute path",
        ),
        (
            _entries("a /a tensorflow", "a /b tensorflow"),
            "Illegal to list model a multiple times",
        ),
        (_entries("a /a pytorch"), "requests unsupported platform pytorch"),
    ],
)
def test_reload_request_that_cannot_be_served_changes_nothing(
    endpoint: Endpoint, config: str, sense: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        endpoint.reload(_reload_request(config))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert sense in caught.value.details()
    assert _prediction(endpoint, "half_plus") == 3.0


def _reload_request(config: str) -> model_management_pb2.ReloadConfigRequest:
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(config, request.config)
    return request
