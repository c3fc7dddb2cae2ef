"""Ports: chosen by the environment, never shared, and a taken one is named."""

from __future__ import annotations

import os
import socket

import pytest

from nightshift.errors import BadDefinitionError
from nightshift.stack.ports import Ports, configured_ports, taken_ports


def test_without_a_word_everything_has_its_usual_port() -> None:
    ports = configured_ports({})
    assert (ports.airflow, ports.mlflow, ports.s3) == (8080, 5000, 8333)
    assert (ports.serving_rest, ports.serving_grpc) == (8501, 8500)


def test_a_base_moves_all_ports_and_keeps_them_apart() -> None:
    numbers = [number for _, number in configured_ports({"NIGHTSHIFT_PORT_BASE": "20000"}).items()]
    assert numbers == list(range(20000, 20000 + len(numbers)))


def test_one_port_may_be_moved_alone() -> None:
    assert configured_ports({"NIGHTSHIFT_PORT_AIRFLOW": "9090"}) == Ports(airflow=9090)


@pytest.mark.parametrize("text", ["", "80", "abc", "70000", "-1"])
def test_what_is_no_port_is_refused_by_its_variable(text: str) -> None:
    if not text:
        assert configured_ports({"NIGHTSHIFT_PORT_BASE": ""}) == Ports()
        return
    with pytest.raises(BadDefinitionError, match="NIGHTSHIFT_PORT_S3 is"):
        configured_ports({"NIGHTSHIFT_PORT_S3": text})


def test_two_parts_cannot_have_one_port() -> None:
    with pytest.raises(BadDefinitionError, match="5000 is meant for both airflow and mlflow"):
        configured_ports({"NIGHTSHIFT_PORT_AIRFLOW": "5000"})


def test_a_taken_port_is_named_with_its_holder_and_the_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        (taken,) = [p for p in taken_ports(Ports(mlflow=number)) if p.number == number]
    assert taken.name == "mlflow"
    assert f"process {os.getpid()}" in str(taken)
    assert "NIGHTSHIFT_PORT_MLFLOW=NUMBER ./nightshift up" in str(taken)
