"""A model server under test, wherever it runs, and the ways to ask it."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
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
State = get_model_status_pb2.ModelVersionStatus.State


@dataclass(frozen=True)
class Edge:
    """An Envoy with closed doors before the server.

    Attributes:
        server: Address of the server's own REST API, for its metrics.
        authority: Certificate of who signed the edge's.
        key: What lets the client in.
    """

    server: str
    authority: Path
    key: str


@dataclass(frozen=True)
class Endpoint:
    """A server that serves the contract models.

    Attributes:
        rest: Address of the REST API, such as `http://127.0.0.1:8501`.
        grpc: Address of the gRPC API, such as `127.0.0.1:8500`.
        models: The folder that `contract_models` filled, at the path the server sees it under.
        edge: What stands before the server; it speaks TLS and asks for a key.
    """

    rest: str
    grpc: str
    models: Path
    edge: Edge | None = None

    @classmethod
    def named_in_environment(cls) -> Endpoint | None:
        """The server that the environment names, or None."""
        text = os.environ.get(ENVIRONMENT_VARIABLE)
        if not text:
            return None
        parts = dict(part.split("=", 1) for part in text.split(","))
        return cls(parts["rest"].rstrip("/"), parts["grpc"], Path(parts["models"]))

    @property
    def headers(self) -> dict[str, str]:
        """What a client shows."""
        return {"x-api-key": self.edge.key} if self.edge else {}

    @cached_property
    def _trust(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=str(self.edge.authority)) if self.edge else None

    # REST

    def client(self, timeout: float = 30) -> httpx.Client:
        """A client that is let in. Making one costs a tenth of a second."""
        verify = self._trust or False
        return httpx.Client(timeout=timeout, verify=verify, headers=self.headers)

    @cached_property
    def _http(self) -> httpx.Client:
        return self.client()

    def connect(self) -> socket.socket:
        """A connection to the REST API, after its handshake where there is one."""
        host, port = self.rest.partition("://")[2].split(":")
        plain = socket.create_connection((host, int(port)), timeout=10)
        return self._trust.wrap_socket(plain, server_hostname=host) if self._trust else plain

    def url(self, path: str) -> str:
        """The address of `/v1/models/<path>`."""
        return f"{self.rest}/v1/models/{path}"

    def post(self, path: str, body: Any) -> httpx.Response:
        """POST a JSON body (or raw bytes) to `/v1/models/<path>`."""
        if isinstance(body, bytes):
            return self._http.post(self.url(path), content=body)
        return self._http.post(self.url(path), json=body)

    def get(self, path: str) -> httpx.Response:
        """GET `/v1/models/<path>`."""
        return self._http.get(self.url(path))

    def metrics(self) -> str:
        """The Prometheus page."""
        server = self.edge.server if self.edge else self.rest
        return self._http.get(f"{server}/monitoring/prometheus/metrics").text

    # gRPC

    def channel(self) -> Any:
        """A channel to the gRPC API."""
        if self.edge is None:
            return grpc.insecure_channel(self.grpc)
        trust = grpc.ssl_channel_credentials(self.edge.authority.read_bytes())
        return grpc.secure_channel(self.grpc, trust)

    def metadata_for(self, model: str) -> tuple[tuple[str, str], ...]:
        """What a call about a model is sent with."""
        if self.edge is None:
            return ()
        return (("x-nightshift-pipeline", model), *self.headers.items())

    def predict(self, request: predict_pb2.PredictRequest) -> Any:
        """PredictionService.Predict."""
        return self._call(prediction_service_pb2_grpc.PredictionServiceStub, "Predict", request)

    def metadata(self, request: get_model_metadata_pb2.GetModelMetadataRequest) -> Any:
        """PredictionService.GetModelMetadata."""
        stub = prediction_service_pb2_grpc.PredictionServiceStub
        return self._call(stub, "GetModelMetadata", request)

    def status(self, model: str, version: int | None = None) -> Any:
        """ModelService.GetModelStatus."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        if version is not None:
            request.model_spec.version.value = version
        return self._call(model_service_pb2_grpc.ModelServiceStub, "GetModelStatus", request)

    def reload(self, request: Any) -> Any:
        """ModelService.HandleReloadConfigRequest, which no edge lets through."""
        with grpc.insecure_channel(self.grpc) as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            return stub.HandleReloadConfigRequest(request, timeout=30)

    def _call(self, stub: Any, method: str, request: Any) -> Any:
        metadata = self.metadata_for(request.model_spec.name)
        with self.channel() as channel:
            return getattr(stub(channel), method)(request, timeout=30, metadata=metadata)

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
