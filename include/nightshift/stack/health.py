"""Whether a process works, asked the way its clients would ask."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from nightshift.stack.processes import Process

_SECONDS = 3.0


def is_healthy(process: Process) -> bool:
    """Whether the process answers, and Airflow's health page speaks for it where it must."""
    body = _get(process.health)
    if body is None:
        return False
    return process.airflow_part is None or _part_is_healthy(body, process.airflow_part)


def _get(url: str) -> bytes | None:
    """The body of a 2xx answer. Plain and cheap: every starting process is asked several times a
    second, and no proxy that this shell may name stands between."""
    address = urlsplit(url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=_SECONDS)
    try:
        connection.request("GET", address.path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if answer.status // 100 == 2 else None


def _part_is_healthy(body: bytes, part: str) -> bool:
    try:
        health: dict[str, Any] = json.loads(body)
    except ValueError:
        return False
    return (health.get(part) or {}).get("status") == "healthy"
