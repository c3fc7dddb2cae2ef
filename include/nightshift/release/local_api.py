"""The agent's own HTTP API: health, status, metrics, and the roll-back that needs no S3.

- ``GET /healthz``: 200 while the agent runs; needs no token and tells nothing.
- ``GET /status``: what the host does, as JSON.
- ``GET /metrics``: for Prometheus. A token of its own, which opens nothing else, is let in too.
- ``POST /rollback`` with ``{"pipeline": "flights", "reason": "…", "by": "…"}``.

All but the first need ``Authorization: Bearer <token>``. A token's file is read at every request,
so that it can be changed without a restart.
"""

from __future__ import annotations

import hmac
import json
import logging
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nightshift.errors import NightshiftError
from nightshift.release.agent_metrics import AgentMetrics
from nightshift.release.host import Host

_log = logging.getLogger(__name__)
_LARGEST_BODY = 64 * 1024


class RollbackCall(BaseModel):
    """The body of ``POST /rollback``."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    by: str = "local operator"


def serve_local_api(
    host: Host,
    address: tuple[str, int],
    token: Callable[[], str],
    metrics: AgentMetrics,
    metrics_token: Callable[[], str] = lambda: "",
) -> ThreadingHTTPServer:
    """Listen in a thread of its own.

    Args:
        host: What is asked and told.
        address: Where to listen: 127.0.0.1, or an address of the private side; and the port.
        token: Gives the token that a caller must show; an empty one lets nobody in.
        metrics: What ``/metrics`` shows.
        metrics_token: Gives the token for ``/metrics`` alone; an empty one lets nobody in.

    Raises:
        OSError: The port is taken.
    """

    class Handler(_Handler):
        served = host
        shown = metrics
        expected = staticmethod(token)
        expected_for_metrics = staticmethod(metrics_token)

    server = ThreadingHTTPServer(address, Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="local-api", daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    served: Host
    shown: AgentMetrics
    expected: Callable[[], str]
    expected_for_metrics: Callable[[], str]
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(HTTPStatus.OK, {"status": "ok"})
        elif self.path == "/metrics":
            if self._is_allowed(type(self).expected, type(self).expected_for_metrics):
                self._send(HTTPStatus.OK, self.shown.page(), CONTENT_TYPE_LATEST)
        elif self._is_allowed(type(self).expected):
            if self.path == "/status":
                statuses = self.served.statuses().items()
                self._answer(HTTPStatus.OK, {n: s.model_dump(mode="json") for n, s in statuses})
            else:
                self._answer(HTTPStatus.NOT_FOUND, {"error": f"nothing at {self.path}"})

    def do_POST(self) -> None:
        # Read before anything is answered, or the rest of it would be taken for a request.
        body = self._body()
        if body is None or not self._is_allowed(type(self).expected):
            return
        if self.path != "/rollback":
            self._answer(HTTPStatus.NOT_FOUND, {"error": f"nothing at {self.path}"})
            return
        try:
            call = RollbackCall.model_validate_json(body)
        except ValidationError as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
            return
        self._roll_back(call)

    def _roll_back(self, call: RollbackCall) -> None:
        try:
            rollback = self.served.roll_back(call.pipeline, by=call.by, reason=call.reason)
        except NightshiftError as error:
            self._answer(HTTPStatus.CONFLICT, {"error": error.message})
            return
        _log.warning("%s: rolled back here by %s: %s", call.pipeline, call.by, call.reason)
        self._answer(
            HTTPStatus.ACCEPTED,
            {"from_version": rollback.from_version, "to_version": rollback.to_version},
        )

    def _body(self) -> bytes | None:
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > _LARGEST_BODY:
            self.close_connection = True
            self._answer(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": "body missing or too large"}
            )
            return None
        return self.rfile.read(int(length))

    def _is_allowed(self, *tokens: Callable[[], str]) -> bool:
        given = self.headers.get("authorization", "").encode()
        expected = [token() for token in tokens]
        # Compared as bytes and in constant time: the header may hold anything.
        right = [hmac.compare_digest(given, f"Bearer {known}".encode()) for known in expected]
        if any(known and fits for known, fits in zip(expected, right, strict=True)):
            return True
        self._answer(HTTPStatus.UNAUTHORIZED, {"error": "show the agent's token as a bearer token"})
        return False

    def _answer(self, status: HTTPStatus, content: dict[str, object]) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("www-authenticate", "Bearer")
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        _log.debug(format, *args)
