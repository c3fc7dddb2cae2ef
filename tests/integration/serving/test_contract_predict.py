"""Predictions over REST and gRPC equal those of the SavedModel itself.

Part of the contract suite for model servers; it has only been run against our own. README.md in
this folder says how to run it against the real TensorFlow Serving.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.integration.serving.endpoint import Endpoint, floats, predict_request

ROWS = [
    {"carrier": "AA", "distance": 733.0, "hour": 6, "weight": [1.0]},
    {"carrier": "UA", "distance": 0.1, "hour": 23, "weight": [0.25]},
    {"carrier": "unheard of", "distance": 2475.5, "hour": 0, "weight": [1e-3]},
]
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}


@pytest.fixture(scope="module")
def probabilities(endpoint: Endpoint) -> Any:
    """What the SavedModel answers when loaded directly, `[3, 1]`."""
    loaded = tf.saved_model.load(str(endpoint.models / "delay" / "1"))
    outputs = loaded.signatures["serving_default"](
        carrier=tf.constant(COLUMNS["carrier"]),
        distance=tf.constant(COLUMNS["distance"], tf.float32),
        hour=tf.constant(COLUMNS["hour"], tf.int64),
        weight=tf.constant(COLUMNS["weight"], tf.float64),
    )
    return outputs["probability"].numpy()


def test_rest_rows_give_the_model_s_own_answers(endpoint: Endpoint, probabilities: Any) -> None:
    answer = endpoint.post("delay:predict", {"instances": ROWS})

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    np.testing.assert_allclose(answer.json()["predictions"], probabilities, rtol=0, atol=1e-6)


def test_rest_columns_give_the_model_s_own_answers(endpoint: Endpoint, probabilities: Any) -> None:
    answer = endpoint.post("delay:predict", {"inputs": COLUMNS})

    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(answer.json()["outputs"], probabilities, rtol=0, atol=1e-6)


def test_grpc_gives_the_model_s_own_answers(endpoint: Endpoint, probabilities: Any) -> None:
    response = endpoint.predict(
        predict_request(
            "delay",
            {
                "carrier": np.array(COLUMNS["carrier"], object),
                "distance": floats(*COLUMNS["distance"]),
                "hour": np.array(COLUMNS["hour"], np.int64),
                "weight": np.array(COLUMNS["weight"], np.float64),
            },
        )
    )

    answer = tf.make_ndarray(response.outputs["probability"])
    np.testing.assert_allclose(answer, probabilities, rtol=0, atol=1e-6)


def test_a_float32_survives_the_way_through_json(endpoint: Endpoint) -> None:
    values = floats(0.1, 1 / 3, 1e-30, 16777216, 3e38, 1.1754944e-38)

    answer = endpoint.post("half_plus/versions/1:predict", {"instances": values.tolist()})

    assert np.array_equal(floats(*answer.json()["predictions"]), values * 0.5 + 2)


def test_a_float32_is_written_with_no_noise_digits(endpoint: Endpoint) -> None:
    answer = endpoint.post("half_plus/versions/1:predict", {"instances": [0.2, 2]})

    assert json.loads(answer.text, parse_float=str) == {"predictions": ["2.1", "3.0"]}


def test_nan_and_infinity_come_and_go_as_words(endpoint: Endpoint) -> None:
    body = b'{"instances": [NaN, Infinity, -Infinity]}'

    predictions = endpoint.post("half_plus:predict", body).json()["predictions"]

    assert math.isnan(predictions[0])
    assert predictions[1:] == [math.inf, -math.inf]


def test_several_outputs_come_as_one_object_per_row(endpoint: Endpoint) -> None:
    rows = [[1, 2, 3], [0, 0, 0.5]]

    predictions = endpoint.post("answers:predict", {"instances": rows}).json()["predictions"]

    raw = {"b64": base64.b64encode(b"\xff\x00").decode()}
    assert predictions == [
        {
            "total": 321.0,
            "bucket": 321,
            "large": True,
            "text": "321",
            "raw_bytes": raw,
            "pair": [321.0, -321.0],
        },
        {
            "total": 50.0,
            "bucket": 50,
            "large": False,
            "text": "50",
            "raw_bytes": raw,
            "pair": [50.0, -50.0],
        },
    ]


def test_several_outputs_come_as_one_column_each(endpoint: Endpoint) -> None:
    body = {"inputs": {"features": [[1, 2, 3], [0, 0, 0.5]]}}

    outputs = endpoint.post("answers:predict", body).json()["outputs"]

    assert outputs["total"] == [321.0, 50.0]
    assert outputs["bucket"] == [321, 50]
    assert outputs["pair"] == [[321.0, -321.0], [50.0, -50.0]]


def test_another_signature_is_chosen_by_name(endpoint: Endpoint) -> None:
    body = {"signature_name": "batch_total", "inputs": [[1, 2, 3], [4, 5, 6]]}

    assert endpoint.post("answers:predict", body).json() == {"outputs": 21.0}


def test_strings_may_come_as_base64(endpoint: Endpoint) -> None:
    plain = {"carrier": "UA", "distance": 1.0, "hour": 1, "weight": [1.0]}
    encoded = {**plain, "carrier": {"b64": base64.b64encode(b"UA").decode()}}

    predictions = endpoint.post("delay:predict", {"instances": [plain, encoded]}).json()[
        "predictions"
    ]

    assert predictions[0] == predictions[1]


def test_grpc_answers_only_the_outputs_asked_for(endpoint: Endpoint) -> None:
    request = predict_request("answers", {"features": np.ones([1, 3], np.float32)})
    request.output_filter.extend(["bucket", "text"])

    outputs = endpoint.predict(request).outputs

    assert set(outputs) == {"bucket", "text"}
    assert list(outputs["bucket"].int64_val) == [111]
    assert list(outputs["text"].string_val) == [b"111"]


def test_grpc_says_which_version_and_signature_answered(endpoint: Endpoint) -> None:
    spec = endpoint.predict(
        predict_request("half_plus", {"x": floats(2)}, label="stable")
    ).model_spec

    assert (spec.name, spec.version.value, spec.signature_name) == (
        "half_plus",
        1,
        "serving_default",
    )


@pytest.mark.parametrize(
    ("target", "prediction"),
    [
        ("half_plus", 4.0),  # no version: the latest
        ("half_plus/versions/1", 3.0),
        ("half_plus/versions/2", 4.0),
        ("half_plus/labels/stable", 3.0),
        ("half_plus/labels/canary", 4.0),
    ],
)
def test_version_and_label_choose_the_model(
    endpoint: Endpoint, target: str, prediction: float
) -> None:
    answer = endpoint.post(f"{target}:predict", {"instances": [2.0]})

    assert answer.json() == {"predictions": [prediction]}


def test_grpc_accepts_tensors_as_raw_content_and_as_values(endpoint: Endpoint) -> None:
    request = predict_request("half_plus", {"x": floats(1, 2)}, version=1)
    assert request.inputs["x"].tensor_content
    values = predict_request("half_plus", {}, version=1)
    values.inputs["x"].dtype = tf.float32.as_datatype_enum
    values.inputs["x"].tensor_shape.dim.add(size=2)
    values.inputs["x"].float_val.extend([1.0, 2.0])

    answers = [endpoint.predict(request), endpoint.predict(values)]

    assert [list(answer.outputs["y"].float_val) for answer in answers] == [
        [2.5, 3.0],
        [2.5, 3.0],
    ]


def test_a_client_that_asks_before_it_sends_its_body_is_told_to_go_on(
    endpoint: Endpoint,
) -> None:
    body = b'{"instances": [2.0]}'
    shown = "".join(f"{name}: {value}\r\n" for name, value in endpoint.headers.items())
    head = f"Host: h\r\n{shown}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    with endpoint.connect() as connection:
        connection.sendall(f"POST /v1/models/half_plus:predict HTTP/1.1\r\n{head}".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
