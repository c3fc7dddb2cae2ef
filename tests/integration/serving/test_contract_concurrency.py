"""Many clients at once; one slow model holds up nobody else.

Part of the contract suite for model servers; it has only been run against our own. README.md in
this folder says how to run it against the real TensorFlow Serving.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.integration.serving.endpoint import (
    Endpoint,
    State,
    floats,
    predict_request,
    steps_for,
)

CLIENTS = 16
REQUESTS = 50


def test_every_rest_client_gets_its_own_answer(endpoint: Endpoint) -> None:
    def ask(client: int) -> list[float]:
        with endpoint.client(timeout=60) as session:
            url = endpoint.url("half_plus/versions/1:predict")
            values = [client * REQUESTS + number for number in range(REQUESTS)]
            answers = [session.post(url, json={"instances": [value]}) for value in values]
            return [answer.json()["predictions"][0] for answer in answers]

    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(ask, range(CLIENTS)))

    expected = np.arange(CLIENTS * REQUESTS) / 2 + 2
    assert np.array_equal(np.ravel(answers), expected)


def test_every_grpc_client_gets_its_own_answer(endpoint: Endpoint) -> None:
    with endpoint.channel() as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        metadata = endpoint.metadata_for("half_plus")

        def ask(value: int) -> float:
            request = predict_request("half_plus", {"x": floats(value)}, version=1)
            answer = stub.Predict(request, timeout=60, metadata=metadata)
            return float(answer.outputs["y"].float_val[0])

        with ThreadPoolExecutor(CLIENTS) as clients:
            answers = list(clients.map(ask, range(CLIENTS * 20)))

    assert answers == [value / 2 + 2 for value in range(CLIENTS * 20)]


def test_status_and_other_models_answer_while_one_model_is_busy(
    endpoint: Endpoint,
) -> None:
    steps = steps_for(endpoint, "slow", seconds=4.0)

    with ThreadPoolExecutor(2) as clients:
        busy = [
            clients.submit(endpoint.post, "slow:predict", {"instances": [steps]}) for _ in range(2)
        ]
        time.sleep(0.3)
        assert endpoint.state("slow", 1) == State.AVAILABLE
        assert endpoint.get("half_plus").status_code == 200
        assert endpoint.post("half_plus:predict", {"instances": [1.0]}).status_code == 200
        still_busy = not any(request.done() for request in busy)

    assert still_busy, "the others were answered only once the slow model was done"
    assert [request.result().status_code for request in busy] == [200, 200]
