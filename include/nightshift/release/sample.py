"""One request that was really asked, with the answer that its client got.

Made from what Envoy's tap copies: REST in both of TensorFlow Serving's formats, and gRPC. Headers
are looked at and never kept: a key in one goes nowhere.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from nightshift.release import predict_wire
from nightshift.release.record import Colour
from nightshift.release.routes import COLOUR_HEADER, VERSION_HEADER
from nightshift.release.tap import BODY_LIMIT, GRPC_PREDICT

_REST = re.compile(r"/v1/models/([^/:]+)(?:/[^:]*)?:predict")
_SERVICE_TIME = "x-envoy-upstream-service-time"
_UNZIPPED = 8 * BODY_LIMIT
_BY_GRPC_STATUS = {
    0: HTTPStatus.OK,
    3: HTTPStatus.BAD_REQUEST,
    5: HTTPStatus.NOT_FOUND,
    7: HTTPStatus.FORBIDDEN,
    8: HTTPStatus.TOO_MANY_REQUESTS,
    14: HTTPStatus.SERVICE_UNAVAILABLE,
    16: HTTPStatus.UNAUTHORIZED,
}


class UnreadableError(ValueError):
    """A copied request that cannot be used; says why, without any of its content."""


@dataclass(frozen=True)
class Sample:
    """One request and its answer.

    Attributes:
        pipeline: Whose.
        colour: Who answered.
        version: The version that it answered with.
        signature: As asked; empty for the default.
        inputs: In column format: a list of rows for each input, or the bare list of the only one.
        outputs: The same of the answer; None where it was an error.
        status: HTTP status, of a gRPC call the one that REST would have answered.
        milliseconds: From Envoy to the server and back; None where the server did not answer.
        at: When the copy came (UTC).
    """

    pipeline: str
    colour: Colour
    version: int
    signature: str
    inputs: Any
    outputs: Any
    status: int
    milliseconds: float | None
    at: datetime

    @property
    def is_of_server(self) -> bool:
        """Whether it is the server's answer or failure, and not a refusal at Envoy's door."""
        return self.milliseconds is not None or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def read_sample(trace: bytes, at: datetime) -> Sample:
    """A sample from the JSON text of one of Envoy's ``TraceWrapper`` messages.

    Raises:
        UnreadableError: It is no prediction, was cut off, or is not in a form that is known.
    """
    try:
        copied = json.loads(trace)["http_buffered_trace"]
        asked, answered = _Message(copied["request"]), _Message(copied["response"])
        return _sample(asked, answered, at)
    except UnreadableError:
        raise
    except predict_wire.WireError as error:
        raise UnreadableError(f"gRPC: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UnreadableError(f"not in a known form ({type(error).__name__})") from error


class _Message:
    """A request or an answer as Envoy copied it."""

    def __init__(self, copied: dict[str, Any]) -> None:
        parts = (*copied.get("headers", ()), *copied.get("trailers", ()))
        self._headers = {part["key"].lower(): part.get("value", "") for part in parts}
        self._body = copied.get("body", {})

    def header(self, name: str) -> str:
        return self._headers.get(name, "")

    def body(self) -> bytes:
        if self._body.get("truncated"):
            raise UnreadableError(f"longer than {BODY_LIMIT} bytes")
        body = base64.b64decode(self._body.get("as_bytes", ""))
        encoding = self.header("content-encoding")
        if encoding in ("", "identity"):
            return body
        if encoding == "gzip":
            return _unzipped(body)
        raise UnreadableError("in an encoding that is not gzip")


def _sample(asked: _Message, answered: _Message, at: datetime) -> Sample:
    colour, version = answered.header(COLOUR_HEADER), answered.header(VERSION_HEADER)
    if not colour or not version.isdigit():
        raise UnreadableError("not answered by a colour")
    path = asked.header(":path").partition("?")[0]
    rest = _REST.fullmatch(path)
    if rest:
        content = _rest(rest[1], asked, answered)
    elif path == GRPC_PREDICT:
        content = _grpc(asked, answered)
    else:
        raise UnreadableError("no prediction")
    took = answered.header(_SERVICE_TIME)
    return Sample(
        colour=Colour(colour),
        version=int(version),
        milliseconds=float(took) if took else None,
        at=at,
        **content,
    )


def _rest(pipeline: str, asked: _Message, answered: _Message) -> dict[str, Any]:
    request = json.loads(asked.body())
    status = int(answered.header(":status"))
    outputs = None
    if status == HTTPStatus.OK:
        answer = json.loads(answered.body())
        outputs = answer["outputs"] if "outputs" in answer else in_columns(answer["predictions"])
    signature = request.get("signature_name", "")
    inputs = request["inputs"] if "inputs" in request else in_columns(request["instances"])
    return {
        "pipeline": pipeline,
        "signature": signature,
        "inputs": inputs,
        "outputs": outputs,
        "status": status,
    }


def in_columns(rows: list[Any]) -> Any:
    """Row format as column format: a list for each name, or the same list where rows have none."""
    if not rows or not isinstance(rows[0], dict) or set(rows[0]) == {"b64"}:
        return list(rows)
    return {name: [row[name] for row in rows] for name in rows[0]}


def _grpc(asked: _Message, answered: _Message) -> dict[str, Any]:
    request = predict_wire.read_request(predict_wire.message_of(asked.body()))
    # A call that failed at once carries its status in the headers, as trailers do otherwise.
    code = answered.header("grpc-status")
    if not code.isdigit():
        raise UnreadableError("gRPC without a status")
    status = _BY_GRPC_STATUS.get(int(code), HTTPStatus.INTERNAL_SERVER_ERROR)
    outputs = None
    if status == HTTPStatus.OK:
        outputs = predict_wire.read_outputs(predict_wire.message_of(answered.body()))
    return {
        "pipeline": request.model,
        "signature": request.signature,
        "inputs": request.inputs,
        "outputs": outputs,
        "status": int(status),
    }


def _unzipped(body: bytes) -> bytes:
    unzip = zlib.decompressobj(wbits=31)
    try:
        found = unzip.decompress(body, _UNZIPPED)
    except zlib.error as error:
        raise UnreadableError("gzip that is damaged") from error
    if not unzip.eof:
        raise UnreadableError(f"longer than {_UNZIPPED} bytes unzipped")
    return found
