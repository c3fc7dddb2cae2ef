"""Errors as TensorFlow Serving reports them: a canonical status code and a message.

The codes are those of gRPC and of `tensorflow.error.Code`; the HTTP numbers are those that
TensorFlow Serving's `http_server.cc` gives to each code.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class StatusCode(IntEnum):
    """Canonical status codes; the number is the one on the wire."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @property
    def http_status(self) -> int:
        """The HTTP status that TensorFlow Serving answers for this code."""
        return _HTTP_STATUS[self]


_HTTP_STATUS: Final[dict[StatusCode, int]] = {
    StatusCode.OK: 200,
    StatusCode.CANCELLED: 499,
    StatusCode.UNKNOWN: 500,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.ABORTED: 409,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.INTERNAL: 500,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DATA_LOSS: 500,
    StatusCode.UNAUTHENTICATED: 401,
}


class ServingError(Exception):
    """A request or a load that failed, with the code its caller is told.

    Args:
        code: Canonical status code.
        message: What TensorFlow Serving would say, in its words where they are known.
    """

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def invalid_argument(message: str) -> ServingError:
    """The request itself is wrong; sending it again cannot help (HTTP 400)."""
    return ServingError(StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    """No such model, version or file (HTTP 404)."""
    return ServingError(StatusCode.NOT_FOUND, message)


def failed_precondition(message: str) -> ServingError:
    """The server's state does not allow it now (HTTP 400)."""
    return ServingError(StatusCode.FAILED_PRECONDITION, message)


def unimplemented(message: str) -> ServingError:
    """TensorFlow Serving has this call, this server does not (HTTP 501)."""
    return ServingError(StatusCode.UNIMPLEMENTED, message)


def deadline_exceeded(message: str) -> ServingError:
    """The prediction took longer than the caller or the server allows (HTTP 504)."""
    return ServingError(StatusCode.DEADLINE_EXCEEDED, message)
