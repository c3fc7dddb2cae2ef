"""The connection to a Ray cluster becomes the environment of the train step alone."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from nightshift.definition.load import load_pipeline
from nightshift.errors import BadDefinitionError
from nightshift_airflow.hooks.cluster import RayClusterHook
from nightshift_airflow.operators.steps import TrainOperator

CONNECTION = {
    "conn_type": "http",
    "host": "ray-head",
    "port": 8265,
    "password": "the token",
}


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    def connect(**changes: Any) -> None:
        connection = json.dumps({**CONNECTION, **changes})
        monkeypatch.setenv("AIRFLOW_CONN_NIGHTSHIFT_RAY", connection)

    return connect


def test_address_and_token_reach_the_step(connect: Any) -> None:
    connect()
    assert RayClusterHook().environment() == {
        "NIGHTSHIFT_RAY_ADDRESS": "http://ray-head:8265",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "the token",
    }


def test_a_cluster_without_a_token_gets_none(connect: Any) -> None:
    connect(password=None, host="https://ray.example", port=443)
    assert RayClusterHook().environment() == {"NIGHTSHIFT_RAY_ADDRESS": "https://ray.example:443"}


def test_without_the_connection_the_error_says_what_to_set() -> None:
    with pytest.raises(BadDefinitionError, match="connection 'nightshift_ray' \\(type http"):
        RayClusterHook().environment()


@pytest.mark.parametrize(("cluster", "wanted"), [("ray", True), ("local", False)])
def test_only_training_on_ray_asks_for_it(cluster: str, wanted: bool, connect: Any) -> None:
    connect()
    training = load_pipeline("flights").training.model_dump(mode="json")
    on_two = {**training, "strategy": "multi_worker", "workers": 2, "cluster": cluster}
    operator = TrainOperator(task_id="train", pipeline="flights")
    section = lambda name, type_: type_.model_validate(on_two)  # noqa: E731
    request: Any = SimpleNamespace(section=section)
    assert bool(operator.further_environment(request)) is wanted
