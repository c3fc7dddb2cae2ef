"""What is wrong with a request is told by TensorFlow Serving's own codes, and by name.

Part of the contract suite for model servers; it has only been run against our own. README.md in
this folder says how to run it against the real TensorFlow Serving.
"""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from tests.integration.serving.endpoint import Endpoint, floats, predict_request

GOOD_ROW = {"carrier": "AA", "distance": 1.0, "hour": 1, "weight": [1.0]}


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


@pytest.mark.parametrize(
    ("target", "status", "sense"),
    [
        ("nobody", 404, "Servable not found for request: Latest(nobody)"),
        (
            "half_plus/versions/7",
            404,
            "Servable not found for request: Specific(half_plus, 7)",
        ),
        ("half_plus/labels/gold", 400, "Unrecognized servable version label: gold"),
        ("nobody/labels/stable", 400, "Unrecognized servable version label: stable"),
        ("half_plus/versions/99999999999999999999", 400, "Failed to convert version"),
    ],
)
def test_rest_target_that_is_not_there(
    endpoint: Endpoint, target: str, status: int, sense: str
) -> None:
    answer = endpoint.post(f"{target}:predict", {"instances": [1.0]})

    assert (answer.status_code, sense in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.parametrize(
    ("body", "sense"),
    [
        (b"", "The document is empty"),
        (b"{", "JSON Parse error"),
        (b"[1, 2]", "Is not object"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (b'{"instances": [1], "inputs": [1]}', "only one of 'inputs' or 'instances'"),
        (b'{"instances": 1}', "Expecting 'instances' to be an list/array"),
        (b'{"instances": []}', "No values in 'instances' array"),
        (
            b'{"signature_name": 1, "instances": [1]}',
            "'signature_name' key must be a string",
        ),
        (
            b'{"signature_name": "no", "instances": [1]}',
            'Serving signature name: "no" not found',
        ),
        (b'{"instances": ["a"]}', "is not of expected type: float"),
        (b'{"instances": [true]}', "is not of expected type: float"),
        (b'{"instances": [null]}', "is not of expected type: float"),
        (b'{"instances": [{"z": 1}]}', "does not have named input: z"),
        (
            b'{"instances": [1, [2]]}',
            "Failed to process element: 1 of 'instances' list",
        ),
        (b'{"inputs": {"z": [1]}}', "Missing named input: x in 'inputs' object"),
        (b'{"inputs": [[1, 2], [3]]}', "Encountered list at unexpected size: 1"),
    ],
)
def test_rest_body_that_one_float_input_cannot_take(
    endpoint: Endpoint, body: bytes, sense: str
) -> None:
    answer = endpoint.post("half_plus:predict", body)

    assert (answer.status_code, sense in answer.json()["error"]) == (400, True), answer.text


@pytest.mark.parametrize(
    ("row", "sense"),
    [
        (
            _without(GOOD_ROW, "hour"),
            "keys must be equal to: carrier,distance,hour,weight",
        ),
        ({**GOOD_ROW, "month": 1}, "does not have named input: month"),
        ({**GOOD_ROW, "hour": 1.5}, "key: hour"),
        ({**GOOD_ROW, "hour": "1"}, "is not of expected type: int64"),
        ({**GOOD_ROW, "carrier": 1}, "is not of expected type: string"),
        ({**GOOD_ROW, "carrier": {"b64": "?"}}, "Unable to base64 decode"),
        ({**GOOD_ROW, "hour": 2**63}, "is not of expected type: int64"),
        (1.0, "instances is a plain list, but expecting list of objects"),
    ],
)
def test_rest_row_that_does_not_fit_its_signature(endpoint: Endpoint, row: Any, sense: str) -> None:
    answer = endpoint.post("delay:predict", {"instances": [row]})

    assert (answer.status_code, sense in answer.json()["error"]) == (400, True), answer.text


def test_rest_rows_of_different_shape(endpoint: Endpoint) -> None:
    answer = endpoint.post("answers:predict", {"instances": [[1, 2, 3], [1, 2]]})

    assert answer.status_code == 400
    assert "Failed to process element: 1 of 'instances' list" in answer.json()["error"]


def test_rest_rows_of_a_shape_the_model_cannot_take(endpoint: Endpoint) -> None:
    assert endpoint.post("answers:predict", {"instances": [[1, 2]]}).status_code == 400


def test_rest_output_without_a_batch_cannot_be_written_as_rows(
    endpoint: Endpoint,
) -> None:
    body = {"signature_name": "batch_total", "instances": [[1, 2, 3]]}

    answer = endpoint.post("answers:predict", body)

    assert answer.status_code == 400
    assert "has no shape information" in answer.json()["error"]


@pytest.mark.parametrize("path", ["half_plus:explain", "half_plus", "half_plus/versions/x:predict"])
def test_rest_path_that_is_none(endpoint: Endpoint, path: str) -> None:
    answer = endpoint.post(path, {"instances": [1.0]})

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Malformed request: POST /v1/models/half_plus")


def test_rest_status_of_what_was_never_there(endpoint: Endpoint) -> None:
    model, version = endpoint.get("nobody"), endpoint.get("half_plus/versions/7")

    assert (model.status_code, version.status_code) == (404, 404)
    assert model.json()["error"] == "Could not find any versions of model nobody"
    assert version.json()["error"] == "Could not find version 7 of model half_plus"


def test_rest_metadata_of_what_was_never_there(endpoint: Endpoint) -> None:
    answer = endpoint.get("nobody/metadata")

    assert answer.status_code == 404
    assert "Servable not found for request: Latest(nobody)" in answer.json()["error"]


GRPC = grpc.StatusCode
X = {"x": floats(1)}


@pytest.mark.parametrize(
    ("request_", "code", "sense"),
    [
        (predict_pb2.PredictRequest(), GRPC.INVALID_ARGUMENT, "Missing ModelSpec"),
        (predict_request("", X, version=1), GRPC.INVALID_ARGUMENT, "no name specified"),
        (predict_request("nobody", X), GRPC.NOT_FOUND, "Latest(nobody)"),
        (
            predict_request("half_plus", X, version=7),
            GRPC.NOT_FOUND,
            "Specific(half_plus, 7)",
        ),
        (
            predict_request("half_plus", X, label="gold"),
            GRPC.INVALID_ARGUMENT,
            "Unrecognized servable version label: gold",
        ),
        (
            predict_request("half_plus", X, signature="no"),
            GRPC.FAILED_PRECONDITION,
            'Serving signature key "no" not found.',
        ),
        (
            predict_request("half_plus", {}),
            GRPC.INVALID_ARGUMENT,
            "Missing but required: {x}",
        ),
        (
            predict_request("half_plus", {**X, "z": floats(1)}),
            GRPC.INVALID_ARGUMENT,
            "Sent extra: {z}",
        ),
        (
            predict_request("half_plus", {"x": np.array(["a"], object)}),
            GRPC.INVALID_ARGUMENT,
            "to be float but string is provided",
        ),
        (
            predict_request("half_plus", {"x": np.array([1], np.int64)}),
            GRPC.INVALID_ARGUMENT,
            "to be float but int64 is provided",
        ),
        (
            predict_request("answers", {"features": np.ones([1, 2], np.float32)}),
            GRPC.INVALID_ARGUMENT,
            "",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_grpc_predict_that_cannot_be_answered(
    endpoint: Endpoint, request_: Any, code: grpc.StatusCode, sense: str
) -> None:
    if endpoint.edge and not request_.model_spec.name:
        pytest.skip("what names no model does not pass the edge")
    with pytest.raises(grpc.RpcError) as caught:
        endpoint.predict(request_)

    assert caught.value.code() is code, caught.value.details()
    assert sense in caught.value.details()


def test_grpc_unknown_output(endpoint: Endpoint) -> None:
    request = predict_request("half_plus", X)
    request.output_filter.append("z")

    with pytest.raises(grpc.RpcError) as caught:
        endpoint.predict(request)

    assert caught.value.code() is GRPC.INVALID_ARGUMENT
    assert "output tensor alias not found in signature: z" in caught.value.details()


@pytest.mark.parametrize("fields", [[], ["weights"]])
def test_grpc_metadata_field_that_is_none(endpoint: Endpoint, fields: list[str]) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = "half_plus"

    with pytest.raises(grpc.RpcError) as caught:
        endpoint.metadata(request)

    assert caught.value.code() is GRPC.INVALID_ARGUMENT


def test_grpc_status_of_what_was_never_there(endpoint: Endpoint) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        endpoint.status("nobody")

    assert caught.value.code() is GRPC.NOT_FOUND
