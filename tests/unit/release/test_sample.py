"""What Envoy's tap copies, as samples."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from nightshift.release.record import Colour
from nightshift.release.sample import Sample, UnreadableError, read_sample
from nightshift.release.tap import BODY_LIMIT

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REST = "/v1/models/flights:predict"
ANSWERED = {
    ":status": "200",
    "x-nightshift-colour": "green",
    "x-nightshift-version": "7",
    "x-envoy-upstream-service-time": "12",
}


def trace(
    request: Any,
    response: Any = None,
    *,
    path: str = REST,
    asked: dict[str, str] | None = None,
    answered: dict[str, str] | None = None,
    truncated: bool = False,
) -> bytes:
    """One message of the tap, as Envoy 1.40 writes it."""
    headers = {":path": path, "authorization": "Bearer secret", **(asked or {})}
    return json.dumps(
        {
            "http_buffered_trace": {
                "request": message(headers, request, truncated),
                "response": message({**ANSWERED, **(answered or {})}, response, False),
            }
        }
    ).encode()


def message(headers: dict[str, str], body: Any, truncated: bool) -> dict[str, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return {
        "headers": [{"key": k, "value": v, "raw_value": ""} for k, v in headers.items()],
        "body": {"as_bytes": base64.b64encode(raw).decode(), "truncated": truncated},
        "trailers": [],
    }


def read(*arguments: Any, **options: Any) -> Sample:
    return read_sample(trace(*arguments, **options), NOW)


def test_a_request_in_column_format() -> None:
    found = read({"inputs": {"x": [1.0, 2.0]}}, {"outputs": [0.1, 0.2]})

    assert found == Sample(
        "flights", Colour.GREEN, 7, "", {"x": [1.0, 2.0]}, [0.1, 0.2], 200, 12.0, NOW
    )


def test_a_request_in_row_format_becomes_columns() -> None:
    found = read(
        {"signature_name": "other", "instances": [{"x": 1, "c": "AA"}, {"x": 2, "c": "UA"}]},
        {"predictions": [{"a": 0.1, "b": [1]}, {"a": 0.2, "b": [2]}]},
    )

    assert found.signature == "other"
    assert found.inputs == {"x": [1, 2], "c": ["AA", "UA"]}
    assert found.outputs == {"a": [0.1, 0.2], "b": [[1], [2]]}


def test_rows_without_names_stay_a_list() -> None:
    found = read({"instances": [1.0, 2.0]}, {"predictions": [[0.1], [0.2]]})

    assert (found.inputs, found.outputs) == ([1.0, 2.0], [[0.1], [0.2]])
    assert read({"instances": [{"b64": "AA=="}]}, {"predictions": [1]}).inputs == [{"b64": "AA=="}]


@pytest.mark.parametrize("path", ["/v1/models/flights/versions/7:predict", f"{REST}?a=b"])
def test_the_pipeline_is_in_the_path(path: str) -> None:
    assert read({"inputs": [1]}, {"outputs": [1]}, path=path).pipeline == "flights"


def test_an_error_has_no_outputs() -> None:
    found = read({"inputs": [1]}, {"error": "no"}, answered={":status": "400"})

    assert (found.status, found.outputs) == (400, None)


def test_words_for_numbers_that_are_not_finite_are_read() -> None:
    found = read({"inputs": [1]}, b'{"outputs": [NaN, -Infinity]}')

    assert found.outputs[1] == float("-inf")


def test_gzip_is_unpacked_on_both_sides() -> None:
    packed = gzip.compress(b'{"inputs": [1]}')
    found = read(
        packed,
        gzip.compress(b'{"outputs": [2]}'),
        asked={"content-encoding": "gzip"},
        answered={"content-encoding": "gzip"},
    )

    assert (found.inputs, found.outputs) == ([1], [2])


def test_a_bomb_of_gzip_is_left_out() -> None:
    bomb = gzip.compress(b" " * (64 * BODY_LIMIT))

    with pytest.raises(UnreadableError, match="unzipped"):
        read(bomb, {"outputs": [1]}, asked={"content-encoding": "gzip"})


def test_no_header_is_kept() -> None:
    assert "secret" not in repr(read({"inputs": [1]}, {"outputs": [1]}))


def grpc(message_: bytes) -> bytes:
    return b"\0" + len(message_).to_bytes(4, "big") + message_


# model_spec {name: "flights"}, inputs {key: "x" value {dtype: FLOAT, shape [1], float_val 0.5}}
_TENSOR = bytes.fromhex("0801 1204 1202 0801 2d 0000003f".replace(" ", ""))
_ENTRY = b"\x0a\x01x\x12" + bytes([len(_TENSOR)]) + _TENSOR
GRPC_REQUEST = b"\x0a\x09\x0a\x07flights\x12" + bytes([len(_ENTRY)]) + _ENTRY
GRPC_ANSWER = b"\x0a" + bytes([len(_ENTRY)]) + _ENTRY
PREDICT = "/tensorflow.serving.PredictionService/Predict"


def test_a_grpc_call() -> None:
    found = read(grpc(GRPC_REQUEST), grpc(GRPC_ANSWER), path=PREDICT, answered={"grpc-status": "0"})

    assert (found.pipeline, found.status) == ("flights", 200)
    assert (found.inputs, found.outputs) == ({"x": [0.5]}, {"x": [0.5]})


@pytest.mark.parametrize(("code", "status"), [("3", 400), ("13", 500), ("14", 503), ("99", 500)])
def test_a_grpc_error_has_the_status_that_rest_would_have(code: str, status: int) -> None:
    found = read(grpc(GRPC_REQUEST), b"", path=PREDICT, answered={"grpc-status": code})

    assert (found.status, found.outputs) == (status, None)


@pytest.mark.parametrize(
    "spoiled",
    [
        b"",
        b"[]",
        b"null",
        b'{"http_buffered_trace": null}',
        b'{"http_buffered_trace": {"request": 1, "response": 2}}',
        trace(b"\xff\xfe", {"outputs": [1]}),
        trace({"inputs": [1]}, b"<html>"),
        trace([1], {"outputs": [1]}),
        trace({"nothing": 1}, {"outputs": [1]}),
        trace({"instances": [{"a": 1}, {"b": 2}]}, {"predictions": [1, 2]}),
        trace({"instances": [{"a": 1}, 2]}, {"predictions": [1, 2]}),
        trace(b"[" * 100_000, {"outputs": [1]}),
        trace({"inputs": [1]}, {"outputs": [1]}, truncated=True),
        trace({"inputs": [1]}, {"outputs": [1]}, path="/v1/models/flights/metadata"),
        trace({"inputs": [1]}, {"outputs": [1]}, asked={"content-encoding": "br"}),
        trace({"inputs": [1]}, {"outputs": [1]}, asked={"content-encoding": "gzip"}),
        trace({"inputs": [1]}, {"outputs": [1]}, answered={"x-nightshift-colour": "red"}),
        trace({"inputs": [1]}, {"outputs": [1]}, answered={"x-nightshift-version": ""}),
        trace({"inputs": [1]}, {"outputs": [1]}, answered={":status": "?"}),
        trace(b"\0\0\0\0\1x", b"", path=PREDICT, answered={"grpc-status": "0"}),
        trace(grpc(GRPC_REQUEST), grpc(GRPC_ANSWER), path=PREDICT),
    ],
)
def test_what_is_not_understood_is_left_out_and_never_another_error(spoiled: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_sample(spoiled, NOW)


def test_a_refusal_at_the_door_is_not_the_servers() -> None:
    at_door = {":status": "403", "x-envoy-upstream-service-time": ""}

    assert not read({"inputs": [1]}, b"denied", answered=at_door).is_of_server
    assert read({"inputs": [1]}, b"bad", answered={":status": "400"}).is_of_server
    assert read({"inputs": [1]}, b"late", answered={**at_door, ":status": "504"}).is_of_server
