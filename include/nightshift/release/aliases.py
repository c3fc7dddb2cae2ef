"""Mirror of the truth: MLflow's aliases ``champion`` and ``previous`` follow the release log.

Nothing reads them to decide anything, so nothing waits for them: while MLflow is away releases go
on, and the aliases are set once it is back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

import httpx

from nightshift.release.record import ReleaseRecord

_log = logging.getLogger(__name__)
_PATH = "/api/2.0/mlflow/registered-models/alias"
_RETRY_SECONDS = 5.0


class AliasMirror:
    """Sets the aliases in a thread of its own.

    Args:
        tracking_uri: MLflow's address.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._url = tracking_uri.rstrip("/") + _PATH
        self._client = httpx.Client(timeout=10.0)
        self._condition = threading.Condition()
        self._wanted: dict[tuple[str, str], int | None] = {}
        self._set: dict[tuple[str, str], int | None] = {}
        self._complaint = ""

    def start(self) -> None:
        """Begin to work."""
        threading.Thread(target=self._run, name="aliases", daemon=True).start()

    def show(self, records: Mapping[str, ReleaseRecord]) -> None:
        """Say what the log says now; returns at once."""
        wanted = {
            (name, alias): candidate.version if candidate else None
            for name, record in records.items()
            for alias, candidate in (
                ("champion", record.champion),
                ("previous", record.previous),
            )
        }
        with self._condition:
            if wanted != self._wanted:
                self._wanted = wanted
                self._condition.notify_all()

    def forget(self) -> None:
        """Another agent leads and may set aliases: what was set here is no longer known."""
        with self._condition:
            self._wanted, self._set = {}, {}

    def _run(self) -> None:
        while True:
            with self._condition:
                todo = {k: v for k, v in self._wanted.items() if self._set.get(k, 0) != v}
                if not todo:
                    self._condition.wait()
                    continue
            if not all(self._mirror(key, version) for key, version in todo.items()):
                with self._condition:
                    self._condition.wait(_RETRY_SECONDS)

    def _mirror(self, key: tuple[str, str], version: int | None) -> bool:
        name, alias = key
        fields = {"name": name, "alias": alias}
        try:
            if version is None:
                answer = self._client.request("DELETE", self._url, json=fields)
            else:
                answer = self._client.post(self._url, json={**fields, "version": str(version)})
        except httpx.HTTPError as error:
            return self._failed(f"MLflow does not answer ({type(error).__name__})")
        # An alias that is to go and is not there is as it should be.
        if answer.status_code != 200 and version is not None:
            return self._failed(f"MLflow answered {answer.status_code}: {answer.text[:300]}")
        with self._condition:
            self._set[key] = version
        _log.info("MLflow: %s of %s is version %s", alias, name, version)
        self._complaint = ""
        return True

    def _failed(self, complaint: str) -> bool:
        if complaint != self._complaint:
            self._complaint = complaint
            _log.warning("aliases wait: %s", complaint)
        return False
