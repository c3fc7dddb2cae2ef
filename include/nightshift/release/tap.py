"""Envoy's tap as the recorder uses it: a copy of sampled requests and their answers.

The tap filter waits in both listeners, idle. Whoever holds a ``POST /tap`` open on Envoy's
administration address gets the copies, as JSON objects one after the other. Nobody there: nothing
is copied, nothing kept, no disk fills. Envoy takes one such request at a time.
(https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/tap_filter)

What a reader leaves unread Envoy keeps in its own memory: read quickly, or close.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from nightshift.errors import UnavailableError

if TYPE_CHECKING:
    from nightshift.release.address import Address

CONFIG_ID = "nightshift"
GRPC_PREDICT = "/tensorflow.serving.PredictionService/Predict"
BODY_LIMIT = 256 * 1024
"""Bytes of a body that Envoy copies, of a request and of an answer; a longer one is cut off."""

_OPEN_SECONDS = 5.0
_READ = 256 * 1024
# A copy in JSON: both bodies in base64, and headers.
_LONGEST = 4 * BODY_LIMIT
_MILLION = 1_000_000
# Envoy prints each object over several lines; only its last bracket begins one.
_END = b"\n}\n"


def tap_filter() -> dict[str, Any]:
    """The HTTP filter, to stand right before the router: behind all that turns requests away."""
    return {
        "name": "tap",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.tap.v3.Tap",
            "common_config": {"admin_config": {"config_id": CONFIG_ID}},
        },
    }


def tap_request(pipelines: Iterable[str], share: float, colour_header: str) -> dict[str, Any]:
    """The body of ``POST /tap``.

    Args:
        pipelines: Whose REST requests; a gRPC request says in its body whose it is.
        share: Of the requests, between 0 and 1.
        colour_header: What an answer bears that came from a colour, and not from Envoy itself.
    """
    names = "|".join(re.escape(name) for name in sorted(pipelines))
    paths = rf"/v1/models/({names})(/[^:]*)?:predict(\?.*)?|{re.escape(GRPC_PREDICT)}"
    return {
        "config_id": CONFIG_ID,
        "tap_config": {
            "match": {
                "and_match": {
                    "rules": [
                        {"http_request_headers_match": {"headers": [_matches(":path", paths)]}},
                        {
                            "http_response_headers_match": {
                                "headers": [{"name": colour_header, "present_match": True}]
                            }
                        },
                    ]
                }
            },
            "tap_enabled": {
                "default_value": {
                    "numerator": min(_MILLION, max(1, round(share * _MILLION))),
                    "denominator": "MILLION",
                },
                "runtime_key": "nightshift.tap",
            },
            "output_config": {
                "max_buffered_rx_bytes": BODY_LIMIT,
                "max_buffered_tx_bytes": BODY_LIMIT,
                # Envoy 1.40 aborts when this sink is given any format that is not JSON.
                "sinks": [{"format": "JSON_BODY_AS_BYTES", "streaming_admin": {}}],
            },
        },
    }


def _matches(header: str, regex: str) -> dict[str, Any]:
    return {"name": header, "string_match": {"safe_regex": {"regex": regex}}}


class TapStream:
    """One open ``POST /tap``. :meth:`close` may be called from any thread and ends the reading.

    Args:
        admin: Envoy's administration address.
        request: See :func:`tap_request`.

    Raises:
        UnavailableError: Envoy does not answer, has no tap filter, or somebody else taps.
    """

    def __init__(self, admin: Address, request: dict[str, Any]) -> None:
        connection = http.client.HTTPConnection(admin.host, admin.port, timeout=_OPEN_SECONDS)
        try:
            connection.request("POST", "/tap", json.dumps(request).encode())
            assert connection.sock is not None
            self._socket: socket.socket = connection.sock
            self._answer = connection.getresponse()
            if self._answer.status != http.HTTPStatus.OK:
                why = self._answer.read(300).decode(errors="replace")
                raise UnavailableError(
                    f"Envoy at {admin} gives no copies of requests: HTTP {self._answer.status}: "
                    f"{why} (Where it knows no such id or page, restart it with a new bootstrap "
                    "file; where somebody else taps, wait for them.)"
                )
            self._wait_for_ever()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise UnavailableError(
                f"Envoy's administration at {admin} does not answer ({type(error).__name__})"
            ) from error
        except UnavailableError:
            connection.close()
            raise

    def traces(self) -> Iterator[bytes]:
        """Each copy's JSON text, as it comes; ends when either side closes.

        Raises:
            UnavailableError: The connection broke.
        """
        kept = b""
        while part := self._read():
            *whole, kept = (kept + part).split(_END)
            yield from (text + b"\n}" for text in whole)
            if len(kept) > _LONGEST:
                raise UnavailableError(f"Envoy's tap sent {len(kept)} bytes without an end")

    def close(self) -> None:
        """End :meth:`traces`, and Envoy's copying."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def _read(self) -> bytes:
        try:
            return self._answer.read1(_READ)
        except (OSError, ValueError, http.client.HTTPException, AttributeError) as error:
            raise UnavailableError(f"Envoy's tap broke off ({type(error).__name__})") from error

    def _wait_for_ever(self) -> None:
        """Between two requests may lie hours; a machine that is gone is noticed all the same."""
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, seconds in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                self._socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
