"""One colour's model server as the agent talks to it: TensorFlow Serving's REST API."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from nightshift.errors import UnavailableError
from nightshift.release.address import Address

_JSON = {"content-type": "application/json"}
_METRICS = "/monitoring/prometheus/metrics"
_STATUS_SECONDS = 5.0
_PREDICT_SECONDS = 60.0


class ServedState(StrEnum):
    """TensorFlow Serving's own words for a version's life, and one for not knowing it."""

    UNKNOWN = "UNKNOWN"
    START = "START"
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"


@dataclass(frozen=True)
class ServedVersion:
    """What the server says about a version; ``error`` is empty unless its load failed."""

    state: ServedState
    error: str = ""

    @property
    def failed(self) -> bool:
        """END with an error is a load that failed; END without one was unloaded."""
        return self.state is ServedState.END and bool(self.error)

    @property
    def in_memory(self) -> bool:
        """Whether its files may still be in use."""
        return self.state not in (ServedState.UNKNOWN, ServedState.END)


class PredictionRefusedError(Exception):
    """The server answered a prediction request with an error."""


class ModelServer:
    """A model server's REST endpoint (raises UnavailableError where it does not answer)."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._client = httpx.Client(base_url=f"http://{address}", trust_env=False)

    def status(self, pipeline: str, version: int) -> ServedVersion:
        """The state of one version."""
        path = f"/v1/models/{pipeline}/versions/{version}"
        answer = self._send("GET", path, timeout=_STATUS_SECONDS)
        if answer.status_code == 404:
            return ServedVersion(ServedState.UNKNOWN)
        if answer.status_code != 200:
            raise UnavailableError(
                f"model server {self.address}{path}: HTTP {answer.status_code}: {answer.text[:300]}"
            )
        found = answer.json()["model_version_status"][0]
        status = found.get("status", {})
        failed = status.get("error_code", "OK") != "OK"
        error = f"{status['error_code']}: {status.get('error_message', '')}" if failed else ""
        return ServedVersion(ServedState(found["state"]), error)

    def memory_bytes(self) -> int:
        """Memory that the server's process takes; 0 where it does not tell (TensorFlow Serving)."""
        answer = self._send("GET", _METRICS, timeout=_STATUS_SECONDS)
        found = re.search(r"^process_resident_memory_bytes (\S+)$", answer.text, re.MULTILINE)
        return int(float(found[1])) if found else 0

    def predict(
        self,
        pipeline: str,
        version: int,
        body: dict[str, Any],
        seconds: float = _PREDICT_SECONDS,
    ) -> Any:
        """The ``outputs`` of a prediction in column format, waited for so long.

        Raises:
            PredictionRefusedError: The server answered with an error.
        """
        path = f"/v1/models/{pipeline}/versions/{version}:predict"
        # Written here: httpx refuses NaN, which a real request may hold.
        content = json.dumps(body).encode()
        answer = self._send("POST", path, content=content, headers=_JSON, timeout=seconds)
        if answer.status_code in (404, 503):
            # Unloaded since its state was asked for: that says nothing about the version.
            raise UnavailableError(f"the model server at {self.address}: {answer.text[:300]}")
        if answer.status_code != 200:
            raise PredictionRefusedError(f"HTTP {answer.status_code}: {answer.text[:500]}")
        return answer.json()["outputs"]

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"the model server at {self.address} does not answer ({type(error).__name__})"
            ) from error
