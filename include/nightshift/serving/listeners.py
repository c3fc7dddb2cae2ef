"""The two network servers: gRPC and HTTP on one event loop, opened and drained together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import grpc
from aiohttp import web
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from nightshift.errors import UnavailableError
from nightshift.serving.grpc_service import ModelService, PredictionService

_GRPC_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Without it two servers share one port in silence, each with its own models.
    ("grpc.so_reuseport", 0),
)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def open_grpc(
    host: str, port: int, prediction: PredictionService, model: ModelService
) -> Any:
    """Start to listen for gRPC.

    Raises:
        UnavailableError: The address is taken.
    """
    server = grpc.aio.server(options=_GRPC_OPTIONS)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(model, server)
    try:
        server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise _taken("gRPC", "--port", host, port) from error
    await server.start()
    return server


async def open_http(host: str, port: int, handler: Handler, drain_seconds: float) -> Any:
    """Start to listen for HTTP.

    Raises:
        UnavailableError: The address is taken.
    """
    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=drain_seconds)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise _taken("REST", "--rest_api_port", host, port) from error
    return runner


async def drain(grpc_server: Any | None, http_runner: Any | None, drain_seconds: float) -> None:
    """Take no new requests, wait for those in flight, then close; never much longer than asked."""
    closing: list[Coroutine[Any, Any, Any]] = []
    if grpc_server is not None:
        closing.append(grpc_server.stop(drain_seconds))
    if http_runner is not None:
        closing.append(http_runner.cleanup())
    tasks = [asyncio.create_task(coroutine) for coroutine in closing]
    # The HTTP runner waits its time twice over where a handler does not end: bound it here.
    await asyncio.wait(tasks, timeout=drain_seconds + 0.5)


def _taken(what: str, flag: str, host: str, port: int) -> UnavailableError:
    return UnavailableError(
        f"Cannot listen for {what} on {host}:{port}: the address is taken or not ours. "
        f"Stop what listens there, or choose another {flag}.",
        host=host,
        port=port,
    )
