"""The states a model version goes through, and the board where they are read.

START → LOADING → AVAILABLE → UNLOADING → END. A load that failed goes from LOADING to END with an
error; a version that was unloaded in good order ends in END with OK. The board remembers ended
versions, as TensorFlow Serving's status call does.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import IntEnum

from nightshift.serving.errors import ServingError, StatusCode


class ModelState(IntEnum):
    """State of one version; the number is the one on the wire (ModelVersionStatus.State)."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """What the status call says of one version.

    Attributes:
        version: Version number.
        state: Where in its life the version is.
        code: OK, or why it ended.
        message: Empty, or why it ended, for a person.
    """

    version: int
    state: ModelState
    code: StatusCode = StatusCode.OK
    message: str = ""

    @property
    def failed(self) -> bool:
        """Whether the version ended because of an error."""
        return self.state is ModelState.END and self.code is not StatusCode.OK


class StatusBoard:
    """The last known status of every version of every model; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statuses: dict[str, dict[int, VersionStatus]] = {}

    def record(
        self,
        model: str,
        version: int,
        state: ModelState,
        error: ServingError | None = None,
    ) -> None:
        """Write down that a version reached a state, with the error that brought it there."""
        code = error.code if error else StatusCode.OK
        status = VersionStatus(version, state, code, error.message if error else "")
        with self._lock:
            self._statuses.setdefault(model, {})[version] = status

    def get(self, model: str, version: int) -> VersionStatus | None:
        """Status of one version, or None where it was never seen."""
        with self._lock:
            return self._statuses.get(model, {}).get(version)

    def versions(self, model: str) -> list[VersionStatus]:
        """Status of all versions ever seen of a model, newest version first."""
        with self._lock:
            statuses = self._statuses.get(model, {})
            return [statuses[version] for version in sorted(statuses, reverse=True)]
