"""The gRPC API: PredictionService and ModelService of the `tensorflow-serving-api` stubs.

As in the REST API, predictions run on a pool of threads and everything else on the event loop.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor
from typing import Any, Final, NoReturn

import grpc
from tensorflow_serving.apis import (
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from nightshift.serving.answers import SIGNATURE_DEF, model_metadata, model_status
from nightshift.serving.config import config_from_proto
from nightshift.serving.errors import ServingError, StatusCode, invalid_argument
from nightshift.serving.manager import ServableManager
from nightshift.serving.metrics import Metrics
from nightshift.serving.prediction import find_signature, predict
from nightshift.serving.signature import Signature, Tensor
from nightshift.serving.tensor_proto import tensor_from_proto, tensor_to_proto

_GRPC_CODES: Final[dict[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Predict and GetModelMetadata.

    Args:
        manager: What is loaded.
        metrics: Where requests are counted.
        pool: Threads for predictions.
    """

    def __init__(self, manager: ServableManager, metrics: Metrics, pool: Executor) -> None:
        self._manager = manager
        self._metrics = metrics
        self._pool = pool

    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Run one signature of one version."""
        started = time.perf_counter()
        name, code = request.model_spec.name, StatusCode.OK
        try:
            loop = asyncio.get_running_loop()
            response = await loop.run_in_executor(self._pool, self._predict, request)
            self._metrics.request_latency(time.perf_counter() - started, name, "Predict", "GRPC")
            return response
        except ServingError as error:
            code = error.code
            await _abort(context, error)
        finally:
            self._metrics.request(name, code)

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The signatures of one version."""
        try:
            return self._metadata(request)
        except ServingError as error:
            await _abort(context, error)

    async def _unimplemented(self, request: Any, context: Any) -> Any:
        await context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            "This server implements Predict and GetModelMetadata.",
        )

    Classify = Regress = MultiInference = _unimplemented

    def _predict(self, request: Any) -> Any:
        name, version, label = _model_spec(request)
        with self._manager.handle(name, version, label) as servable:
            signature = find_signature(servable.model, request.model_spec.signature_name)
            inputs = {a: tensor_from_proto(a, proto) for a, proto in request.inputs.items()}
            types = {alias: proto.dtype for alias, proto in request.inputs.items()}
            started = time.perf_counter()
            outputs = predict(
                servable.model, signature, inputs, types, tuple(request.output_filter)
            )
            self._metrics.runtime_latency(time.perf_counter() - started, name)
        return _response(name, servable.version, signature, outputs)

    def _metadata(self, request: Any) -> Any:
        name, version, label = _model_spec(request)
        if not request.metadata_field:
            raise invalid_argument(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise invalid_argument(f"Metadata field {field} is not supported")
        with self._manager.handle(name, version, label) as servable:
            return model_metadata(servable)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """GetModelStatus and HandleReloadConfigRequest."""

    def __init__(self, manager: ServableManager) -> None:
        self._manager = manager

    async def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The state of one version, or of all versions, of a model."""
        try:
            name, version, _ = _model_spec(request)
            return model_status(self._manager.board, name, version)
        except ServingError as error:
            await _abort(context, error)

    async def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Replace the configuration; answers once every new model has a version AVAILABLE."""
        try:
            await asyncio.to_thread(self._reload, request)
        except ServingError as error:
            await _abort(context, error)
        return model_management_pb2.ReloadConfigResponse()

    def _reload(self, request: Any) -> None:
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        self._manager.apply_and_wait(config_from_proto(request.config))


def _model_spec(request: Any) -> tuple[str, int | None, str | None]:
    """Name, version and label that a request names."""
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    spec = request.model_spec
    match spec.WhichOneof("version_choice"):
        case "version":
            return spec.name, spec.version.value, None
        case "version_label":
            return spec.name, None, spec.version_label
        case _:
            return spec.name, None, None


def _response(name: str, version: int, signature: Signature, outputs: dict[str, Tensor]) -> Any:
    response = predict_pb2.PredictResponse()
    response.model_spec.name = name
    response.model_spec.version.value = version
    response.model_spec.signature_name = signature.name
    for alias, tensor in outputs.items():
        proto = tensor_to_proto(signature.outputs[alias].data_type, tensor)
        response.outputs[alias].CopyFrom(proto)
    return response


async def _abort(context: Any, error: ServingError) -> NoReturn:
    await context.abort(_GRPC_CODES[error.code], error.message)
    raise AssertionError("abort always raises")
