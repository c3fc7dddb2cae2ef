"""Status, metadata and metrics say what TensorFlow Serving says.

Part of the contract suite for model servers; it has only been run against our own. README.md in
this folder says how to run it against the real TensorFlow Serving.
"""

from __future__ import annotations

import re

from tensorflow_serving.apis import get_model_metadata_pb2

from tests.integration.serving.endpoint import Endpoint, State, floats, predict_request

OK = {"error_code": "OK", "error_message": ""}


def test_rest_status_lists_every_version_newest_first(endpoint: Endpoint) -> None:
    assert endpoint.get("half_plus").json() == {
        "model_version_status": [
            {"version": "2", "state": "AVAILABLE", "status": OK},
            {"version": "1", "state": "AVAILABLE", "status": OK},
        ]
    }


def test_rest_status_of_one_version(endpoint: Endpoint) -> None:
    assert endpoint.get("half_plus/versions/1").json() == {
        "model_version_status": [{"version": "1", "state": "AVAILABLE", "status": OK}]
    }


def test_grpc_status_of_one_version(endpoint: Endpoint) -> None:
    (status,) = endpoint.status("half_plus", 1).model_version_status

    assert (status.version, status.state, status.status.error_code) == (
        1,
        State.AVAILABLE,
        0,
    )


def test_rest_metadata_shows_the_signature(endpoint: Endpoint) -> None:
    metadata = endpoint.get("delay/metadata").json()

    assert metadata["model_spec"] == {
        "name": "delay",
        "signature_name": "",
        "version": "1",
    }
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert {name: tensor["dtype"] for name, tensor in signature["inputs"].items()} == {
        "carrier": "DT_STRING",
        "distance": "DT_FLOAT",
        "hour": "DT_INT64",
        "weight": "DT_DOUBLE",
    }
    assert [dim["size"] for dim in signature["inputs"]["weight"]["tensor_shape"]["dim"]] == [
        "-1",
        "1",
    ]


def test_rest_metadata_of_a_label(endpoint: Endpoint) -> None:
    metadata = endpoint.get("half_plus/labels/stable/metadata").json()

    assert metadata["model_spec"]["version"] == "1"


def test_grpc_metadata_holds_the_signatures(endpoint: Endpoint) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "answers"

    response = endpoint.metadata(request)

    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "batch_total"} <= set(signatures.signature_def)
    assert response.model_spec.version.value == 1


def test_metrics_count_requests_by_model_and_outcome(endpoint: Endpoint) -> None:
    before = _count(endpoint.metrics(), "half_plus", "OK")
    refused_before = _count(endpoint.metrics(), "half_plus", "INVALID_ARGUMENT")

    endpoint.post("half_plus:predict", {"instances": [1.0]})
    endpoint.predict(predict_request("half_plus", {"x": floats(1)}))
    endpoint.post("half_plus:predict", {"instances": ["a"]})

    page = endpoint.metrics()
    assert _count(page, "half_plus", "OK") == before + 2
    assert _count(page, "half_plus", "INVALID_ARGUMENT") == refused_before + 1


def test_metrics_hold_a_latency_histogram_per_entrypoint(endpoint: Endpoint) -> None:
    endpoint.post("half_plus:predict", {"instances": [1.0]})
    endpoint.predict(predict_request("half_plus", {"x": floats(1)}))

    page = endpoint.metrics()

    for api, entrypoint in (("predict", "REST"), ("Predict", "GRPC")):
        labels = f'model_name="half_plus",API="{api}",entrypoint="{entrypoint}"'
        prefix = ":tensorflow:serving:request_latency"
        buckets = re.findall(
            rf"^{prefix}_bucket\{{{labels},le=\"([^\"]+)\"\}} (\d+)$",
            page,
            re.MULTILINE,
        )
        counts = [int(count) for _, count in buckets]
        assert buckets[0][0] == "10"
        assert buckets[-1][0] == "+Inf"
        assert counts == sorted(counts)
        assert f"{prefix}_count{{{labels}}} {counts[-1]}" in page
        assert f"{prefix}_sum{{{labels}}}" in page
    assert "# TYPE :tensorflow:serving:request_latency histogram" in page
    assert "# TYPE :tensorflow:serving:request_count counter" in page


def _count(page: str, model: str, status: str) -> int:
    line = f':tensorflow:serving:request_count{{model_name="{model}",status="{status}"}} '
    return next(
        (int(text.removeprefix(line)) for text in page.splitlines() if text.startswith(line)),
        0,
    )
