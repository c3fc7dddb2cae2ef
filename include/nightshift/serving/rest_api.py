"""The REST API and the Prometheus page, with TensorFlow Serving's paths and status codes.

    POST /v1/models/NAME[/versions/N|/labels/L]:predict
    GET  /v1/models/NAME[/versions/N|/labels/L][/metadata]
    GET  /monitoring/prometheus/metrics

Predictions run on a pool of threads; status, metadata and metrics are answered by the event loop
itself, so that slow predictions never hold them up.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from aiohttp import web
from google.protobuf import json_format

from nightshift.serving.answers import model_status, signature_defs
from nightshift.serving.errors import (
    ServingError,
    StatusCode,
    deadline_exceeded,
    invalid_argument,
    unimplemented,
)
from nightshift.serving.manager import ServableManager
from nightshift.serving.metrics import Metrics
from nightshift.serving.prediction import predict
from nightshift.serving.rest_json import (
    body_from_tensors,
    error_body,
    parse_body,
    tensors_from_body,
)
from nightshift.serving.servable import Servable
from nightshift.serving.signature import DEFAULT_SIGNATURE, Signature

METRICS_PATH: Final = "/monitoring/prometheus/metrics"

_VERSION: Final = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_POST_PATH: Final = re.compile(
    rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<verb>classify|regress|predict)",
    re.IGNORECASE,
)
_GET_PATH: Final = re.compile(
    rf"/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<verb>metadata))?",
    re.IGNORECASE,
)
_LARGEST_VERSION: Final = 2**63 - 1


@dataclass(frozen=True)
class Target:
    """What a path names.

    Attributes:
        name: Model name; empty where the path has none.
        version: Version number, if given.
        label: Version label, if given.
        verb: `predict`, `classify`, `regress`, `metadata`, or empty for the status.
    """

    name: str
    version: int | None
    label: str | None
    verb: str


class RestApi:
    """Answers HTTP requests.

    Args:
        manager: What is loaded.
        metrics: Where requests are counted.
        pool: Threads for predictions.
        timeout_seconds: Longest time for one prediction.
    """

    def __init__(
        self,
        manager: ServableManager,
        metrics: Metrics,
        pool: Executor,
        timeout_seconds: float,
    ) -> None:
        self._manager = manager
        self._metrics = metrics
        self._pool = pool
        self._timeout = timeout_seconds

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request; errors become JSON bodies with TensorFlow Serving's status."""
        path = request.raw_path.partition("?")[0]
        if path == METRICS_PATH:
            return web.Response(text=self._metrics.page(), content_type="text/plain")
        if not path.lower().startswith("/v1/"):
            return web.Response(status=404, text="Not Found")
        return await self._answer(request, path)

    async def _answer(self, request: web.BaseRequest, path: str) -> web.Response:
        started = time.perf_counter()
        name, code = "", StatusCode.OK
        try:
            target = parse_target(request.method, path)
            name = target.name
            body = await self._dispatch(target, request)
            if target.verb == "predict":
                elapsed = time.perf_counter() - started
                self._metrics.request_latency(elapsed, name, target.verb, "REST")
        except ServingError as error:
            code, body = error.code, error_body(error.message)
        self._metrics.request(name, code)
        return web.Response(status=code.http_status, body=body, content_type="application/json")

    async def _dispatch(self, target: Target, request: web.BaseRequest) -> bytes:
        match target.verb:
            case "predict":
                return await self._predict_in_pool(target, await _read_body(request))
            case "metadata":
                return self._metadata(target)
            case "":
                return self._status(target)
            case verb:
                raise unimplemented(f"{verb} is not implemented by this server; use predict")

    async def _predict_in_pool(self, target: Target, body: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                return await loop.run_in_executor(self._pool, self._predict, target, body)
        except TimeoutError as error:
            raise deadline_exceeded(
                f"Predict of model {target.name} took longer than {self._timeout:g} s "
                "(--rest_api_timeout_in_ms)"
            ) from error

    def _predict(self, target: Target, body: bytes) -> bytes:
        parsed = parse_body(body)
        with self._manager.handle(target.name, target.version, target.label) as servable:
            signature = _signature(servable, parsed.signature_name)
            inputs = tensors_from_body(parsed, signature)
            started = time.perf_counter()
            outputs = predict(servable.model, signature, inputs, signature.input_types())
            self._metrics.runtime_latency(time.perf_counter() - started, target.name)
        return body_from_tensors(outputs, parsed.format)

    def _status(self, target: Target) -> bytes:
        response = model_status(self._manager.board, target.name, target.version)
        text: str = json_format.MessageToJson(
            response, indent=1, always_print_fields_with_no_presence=True
        )
        return text.encode()

    def _metadata(self, target: Target) -> bytes:
        with self._manager.handle(target.name, target.version, target.label) as servable:
            spec = {
                "name": servable.name,
                "signature_name": "",
                "version": str(servable.version),
            }
            signatures = json_format.MessageToDict(
                signature_defs(servable),
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
        return json.dumps(
            {"model_spec": spec, "metadata": {"signature_def": signatures}}, indent=1
        ).encode()


def parse_target(method: str, path: str) -> Target:
    """Read what a path names.

    Raises:
        ServingError: INVALID_ARGUMENT for a path, a method or a version number that is none.
    """
    pattern = {"POST": _POST_PATH, "GET": _GET_PATH}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if match is None:
        raise invalid_argument(f"Malformed request: {method} {path}")
    if not match["name"]:
        raise invalid_argument("Missing model name in request.")
    return Target(
        name=unquote(match["name"]),
        version=_version(match["version"]),
        label=unquote(match["label"]) if match["label"] else None,
        verb=(match["verb"] or "").lower(),
    )


async def _read_body(request: web.BaseRequest) -> bytes:
    if request.headers.get("Expect", "").lower() == "100-continue":
        # curl asks first before it sends more than 1 MB, and waits a second for an answer.
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    # Not request.read(): that stops at a size limit, which TensorFlow Serving has not.
    return await request.content.read()


def _version(digits: str | None) -> int | None:
    if digits is None:
        return None
    if len(digits) > len(str(_LARGEST_VERSION)) or int(digits) > _LARGEST_VERSION:
        raise invalid_argument(f"Failed to convert version: {digits} to numeric.")
    return int(digits)


def _signature(servable: Servable, name: str) -> Signature:
    wanted = name or DEFAULT_SIGNATURE
    signature = servable.model.signatures.get(wanted)
    if signature is None:
        raise invalid_argument(f'Serving signature name: "{wanted}" not found in signature def')
    return signature
