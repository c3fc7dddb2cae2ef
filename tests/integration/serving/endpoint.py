"""A model server under test, wherever it runs, and the ways to ask it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.integration.servers import wait_until
from tests.integration.serving.contract_models import base_config

ENVIRONMENT_VARIABLE = "NIGHTSHIFT_SERVING_CONTRACT_ENDPOINT"
# One client for all: making one costs a tenth of a second, far more than a prediction.
_http = httpx.Client(timeout=30, verify=False)

State = get_model_status_pb2.ModelVersionStatus.State


@dataclass(frozen=True)
class Endpoint:
    """A server that serves the contract models.

    Attributes:
        rest: Address of the REST API, such as `http://127.0.0.1:8501`.
        grpc: Address of the gRPC API, such as `127.0.0.1:8500`.
        models: The folder that `contract_models` filled, at the path the server sees it under.
    """

    rest: str
    grpc: str
    models: Path

    @classmethod
    def named_in_environment(cls) -> Endpoint | None:
        """The server that the environment names, or None."""
        text = os.environ.get(ENVIRONMENT_VARIABLE)
        if not text:
            return None
        parts = dict(part.split("=", 1) for part in text.split(","))
        return cls(parts["rest"].rstrip("/"), parts["grpc"], Path(parts["models"]))

    # REST

    def url(self, path: str) -> str:
        """The address of `/v1/models/<path>`."""
        return f"{self.rest}/v1/models/{path}"

    def post(self, path: str, body: Any) -> httpx.Response:
        """POST a JSON body (or raw bytes) to `/v1/models/<path>`."""
        if isinstance(body, bytes):
            return _http.post(self.url(path), content=body)
        return _http.post(self.url(path), json=body)

    def get(self, path: str) -> httpx.Response:
        """GET `/v1/models/<path>`."""
        return _http.get(self.url(path))

    def metrics(self) -> str:
        """The Prometheus page."""
        return _http.get(f"{self.rest}/monitoring/prometheus/metrics").text

    # gRPC

    def predict(self, request: predict_pb2.PredictRequest) -> Any:
        """PredictionService.Predict."""
        with grpc.insecure_channel(self.grpc) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            return stub.Predict(request, timeout=30)

    def metadata(self, request: get_model_metadata_pb2.GetModelMetadataRequest) -> Any:
        """PredictionService.GetModelMetadata."""
        with grpc.insecure_channel(self.grpc) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            return stub.GetModelMetadata(request, timeout=30)

    def status(self, model: str, version: int | None = None) -> Any:
        """ModelService.GetModelStatus."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        if version is not None:
            request.model_spec.version.value = version
        with grpc.insecure_channel(self.grpc) as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            return stub.GetModelStatus(request, timeout=30)

    def reload(self, request: Any) -> Any:
        """ModelService.HandleReloadConfigRequest."""
        with grpc.insecure_channel(self.grpc) as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            return stub.HandleReloadConfigRequest(request, timeout=30)

    # Configuration

    @contextmanager
    def also_serving(self, *entries: str) -> Iterator[None]:
        """Add `config { … }` entries to the configuration file while the block runs."""
        self.write_config(base_config(self.models, *entries))
        try:
            yield
        finally:
            self.write_config(base_config(self.models))

    def write_config(self, text: str) -> None:
        """Replace the configuration file by a rename."""
        fresh = self.models / "models.config.new"
        fresh.write_text(text)
        fresh.rename(self.models / "models.config")

    def state(self, model: str, version: int) -> Any:
        """State of one version over gRPC; UNKNOWN where the server has never seen it."""
        try:
            return self.status(model, version).model_version_status[0].state
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND, error
            return State.UNKNOWN

    def wait_for_state(self, model: str, version: int, state: Any) -> None:
        """Wait until a version is in a state."""
        wait_until(
            lambda: self.state(model, version) == state,
            seconds=60,
            what=f"{model} version {version} is {State.Name(state)}",
        )


def predict_request(
    model: str,
    inputs: Mapping[str, Any],
    *,
    version: int | None = None,
    label: str | None = None,
    signature: str = "",
) -> predict_pb2.PredictRequest:
    """A PredictRequest; numpy arrays keep their type."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return request


def steps_for(endpoint: Endpoint, model: str, *, seconds: float) -> int:
    """How many steps keep a model made by `build_slow` busy for so long on this machine."""
    probe = 20_000
    endpoint.post(f"{model}:predict", {"instances": [10]})
    started = time.perf_counter()
    endpoint.post(f"{model}:predict", {"instances": [probe]})
    return int(probe * seconds / (time.perf_counter() - started))


def floats(*values: Any) -> Any:
    """A float32 vector."""
    return np.array(values, np.float32)
