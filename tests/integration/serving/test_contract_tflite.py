"""A version that is a TFLite model: clients cannot tell it from the SavedModel beside it.

Part of the contract suite for model servers; it has only been run against our own. README.md in
this folder says how to run it against the real TensorFlow Serving, which needs
`--prefer_tflite_model`.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf

from tests.integration.serving.contract_models import model_entry
from tests.integration.serving.endpoint import Endpoint, State, predict_request

FLOAT, INT8 = 1, 2
ONE_STEP = 1 / 256
"""What the last integer of a probability is worth; two are allowed below."""


def pictures(rows: int, seed: int = 0) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    return {
        "picture": draw.uniform(0, 255, size=(rows, 4, 4, 1)).astype(np.float32),
        "age": draw.uniform(0, 100, size=rows).astype(np.float32),
    }


def as_rows(inputs: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"picture": picture.tolist(), "age": float(age)}
        for picture, age in zip(inputs["picture"], inputs["age"], strict=True)
    ]


def asked(endpoint: Endpoint, version: int, body: dict[str, Any]) -> httpx.Response:
    return endpoint.post(f"pictures/versions/{version}:predict", body)


@pytest.mark.parametrize("rows", [1, 2, 33])
def test_it_answers_as_the_saved_model_within_its_integers(endpoint: Endpoint, rows: int) -> None:
    body = {"instances": as_rows(pictures(rows))}

    answers = {version: asked(endpoint, version, body) for version in (FLOAT, INT8)}

    assert {a.status_code for a in answers.values()} == {200}, answers[INT8].text
    ours, floats = (np.array(answers[v].json()["predictions"]) for v in (INT8, FLOAT))
    assert ours.shape == floats.shape == (rows, 3)
    np.testing.assert_allclose(ours, floats, rtol=0, atol=2 * ONE_STEP)
    assert not np.array_equal(ours, floats), "the SavedModel was asked, not its variant"


def test_grpc_gives_the_same_types(endpoint: Endpoint) -> None:
    inputs = pictures(3)
    answers = [
        endpoint.predict(predict_request("pictures", inputs, version=version))
        for version in (FLOAT, INT8)
    ]

    floats, ours = (tf.make_ndarray(answer.outputs["probability"]) for answer in answers)

    assert ours.dtype == floats.dtype == np.float32
    np.testing.assert_allclose(ours, floats, rtol=0, atol=2 * ONE_STEP)


def test_the_batch_may_change_from_request_to_request(endpoint: Endpoint) -> None:
    inputs = pictures(40)
    whole = asked(endpoint, INT8, {"instances": as_rows(inputs)}).json()["predictions"]
    alone = [
        asked(endpoint, INT8, {"instances": [row]}).json()["predictions"][0]
        for row in as_rows(inputs)[:3]
    ]

    np.testing.assert_allclose(alone, whole[:3], rtol=0, atol=1e-6)


def test_many_requests_at_once_get_their_own_answers(endpoint: Endpoint) -> None:
    bodies = [{"instances": as_rows(pictures(rows, seed=rows))} for rows in (1, 7, 2, 5)] * 6

    def ask(body: dict[str, Any]) -> Any:
        return asked(endpoint, INT8, body).json()["predictions"]

    alone = [ask(body) for body in bodies[:4]] * 6
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, bodies)) == alone


WRONG = {
    "an input is missing": {"instances": [{"age": 3.0}]},
    "an input is unknown": {"instances": [{**as_rows(pictures(1))[0], "colour": 1.0}]},
    "a shape is wrong": {"inputs": {"picture": [[[1.0]]], "age": [3.0]}},
    "a value is no number": {"instances": [{**as_rows(pictures(1))[0], "age": "old"}]},
    "another signature": {"signature_name": "other", "instances": as_rows(pictures(1))},
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_request_is_refused_in_the_same_words(
    endpoint: Endpoint, body: dict[str, Any]
) -> None:
    ours, floats = (asked(endpoint, version, body) for version in (INT8, FLOAT))

    assert floats.status_code == 400
    assert (ours.status_code, ours.text) == (floats.status_code, floats.text)


def test_a_wrong_type_is_refused_in_the_same_words(endpoint: Endpoint) -> None:
    inputs = {**pictures(2), "age": np.array([1, 2], np.int64)}
    details = []
    for version in (FLOAT, INT8):
        with pytest.raises(grpc.RpcError) as refused:
            endpoint.predict(predict_request("pictures", inputs, version=version))
        details.append((refused.value.code(), refused.value.details()))

    assert details[0] == details[1]
    assert details[0][0] is grpc.StatusCode.INVALID_ARGUMENT


def test_the_metadata_declares_the_same_signature(endpoint: Endpoint) -> None:
    def declared(version: int) -> Any:
        answer = endpoint.get(f"pictures/versions/{version}/metadata").json()
        signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
        return {
            alias: (tensor["dtype"], [d["size"] for d in tensor["tensor_shape"]["dim"]])
            for side in ("inputs", "outputs")
            for alias, tensor in signature[side].items()
        }

    assert declared(INT8) == declared(FLOAT)
    assert declared(INT8)["picture"] == ("DT_FLOAT", ["-1", "4", "4", "1"])


def test_a_damaged_file_fails_its_version_alone(endpoint: Endpoint) -> None:
    base = endpoint.models / "damaged"
    shutil.copytree(endpoint.models / "pictures", base, dirs_exist_ok=True)
    (base / "2" / "model.tflite").write_bytes(b"not a flatbuffer")

    with endpoint.also_serving(model_entry("damaged", base, versions=(1, 2))):
        endpoint.wait_for_state("damaged", 2, State.END)
        endpoint.wait_for_state("damaged", 1, State.AVAILABLE)

        failed = endpoint.status("damaged", 2).model_version_status[0]
        assert failed.status.error_code != 0
        assert failed.status.error_message
