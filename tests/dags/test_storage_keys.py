"""Steps get keys of their own where there is a connection with them."""

from __future__ import annotations

import json

import pytest

from nightshift_airflow.hooks.storage import StorageHook


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    connect(monkeypatch, "NIGHTSHIFT_S3", "operators", aws_session_token="for an hour")
    return monkeypatch


def connect(monkeypatch: pytest.MonkeyPatch, name: str, login: str, **extra: str) -> None:
    there = {"endpoint_url": "http://s3.example:8333", "region_name": "us-east-1", **extra}
    text = json.dumps({"conn_type": "aws", "login": login, "password": "secret", "extra": there})
    monkeypatch.setenv(f"AIRFLOW_CONN_{name}", text)


def test_without_a_connection_of_their_own_steps_get_the_operators_keys(
    connections: pytest.MonkeyPatch,
) -> None:
    hook = StorageHook()
    assert hook.environment_of_steps() == hook.environment()
    assert hook.environment()["AWS_ACCESS_KEY_ID"] == "operators"


def test_with_one_they_get_its_keys_and_nothing_of_the_operators(
    connections: pytest.MonkeyPatch,
) -> None:
    connect(connections, "NIGHTSHIFT_S3_STEPS", "steps")
    given = StorageHook().environment_of_steps()
    assert given["AWS_ACCESS_KEY_ID"] == "steps"
    assert given["AWS_SESSION_TOKEN"] == ""
    assert given["AWS_ENDPOINT_URL_S3"] == "http://s3.example:8333"
