"""Airflow's public REST API, as far as the command needs it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import httpx

from nightshift.errors import RefusedError, UnavailableError
from nightshift.stack.settings import StackSettings

_PAGE = 100
_ATTEMPTS = 5


class RunState(StrEnum):
    """States of a DAG run."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the run will not go on by itself."""
        return self in (RunState.SUCCESS, RunState.FAILED)


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG."""

    dag_id: str
    run_id: str
    state: RunState
    started: datetime | None
    ended: datetime | None
    conf: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """From its start to its end, or to now."""
        if self.started is None:
            return 0.0
        until = self.ended or datetime.now(self.started.tzinfo)
        return (until - self.started).total_seconds()


@dataclass(frozen=True)
class TaskRun:
    """One task of a run, its latest attempt."""

    task_id: str
    state: str | None
    """Airflow's word, None before it is scheduled."""
    attempt: int
    seconds: float
    map_index: int = -1
    """Which one of a mapped task's instances; -1 where it is not mapped."""
    instance: str = ""
    """The same in words, such as the compression target."""

    @property
    def name(self) -> str:
        """The task, and of a mapped one which instance: ``quantize[int8]``."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.instance}]"


class AirflowApi:
    """A logged-in client of one stack's Airflow.

    Args:
        settings: The stack.
        user: Who logs in.
        password: The user's; by default that of ``admin``.
    """

    def __init__(
        self, settings: StackSettings, user: str = "admin", password: str | None = None
    ) -> None:
        self._login = {
            "username": user,
            "password": password or settings.passwords.airflow_admin,
        }
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{settings.ports.airflow}", trust_env=False, timeout=30.0
        )
        self._token = ""

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Make a pool, or set its slots."""
        body = {"name": name, "slots": slots, "description": description}
        answer = self._send("POST", "/api/v2/pools", json=body)
        if answer.status_code == httpx.codes.CONFLICT:
            self._checked(
                self._send(
                    "PATCH", f"/api/v2/pools/{name}", json={**body, "include_deferred": False}
                )
            )
        else:
            self._checked(answer)

    def wait_for_dag(self, dag_id: str, seconds: float) -> None:
        """Wait until a DAG file has been parsed.

        Raises:
            RefusedError: Its file does not import, or there is no such DAG after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while self._send("GET", f"/api/v2/dags/{dag_id}").status_code != httpx.codes.OK:
            if time.monotonic() > deadline:
                raise RefusedError(
                    f"Airflow knows no DAG '{dag_id}'. Is there a file dags/{dag_id}.py, or "
                    f"dags/retrain_….py that makes it? {self._import_problems()}".strip()
                )
            time.sleep(0.5)

    def unpause(self, dag_id: str) -> None:
        """Let a DAG's runs start."""
        path = f"/api/v2/dags/{dag_id}"
        self._checked(self._send("PATCH", path, json={"is_paused": False}))

    def trigger(self, dag_id: str, conf: Mapping[str, Any], run_id: str | None = None) -> DagRun:
        """Start a run with values for its form.

        Raises:
            RefusedError: Airflow rejects the values.
        """
        body: dict[str, Any] = {"conf": dict(conf), "logical_date": None}
        if run_id:
            body["dag_run_id"] = run_id
        answer = self._send("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        return _dag_run(self._checked(answer))

    def backfill(self, dag_id: str, first: datetime, last: datetime) -> list[DagRun]:
        """Have Airflow make the scheduled runs from ``first`` to ``last``, one after the other.

        Returns:
            The runs, oldest first. Those that the schedule made before are not made again.

        Raises:
            RefusedError: Another backfill of the DAG is under way.
        """
        body = {
            "dag_id": dag_id,
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            "run_backwards": False,
            "max_active_runs": 1,
            "dag_run_conf": {},
        }
        self._checked(self._send("POST", "/api/v2/backfills", json=body))
        between = {
            "logical_date_gte": first.isoformat(),
            "logical_date_lte": last.isoformat(),
            "order_by": "logical_date",
            "limit": _PAGE,
        }
        path = f"/api/v2/dags/{dag_id}/dagRuns"
        return [
            _dag_run(r) for r in self._checked(self._send("GET", path, params=between))["dag_runs"]
        ]

    def answer(self, dag_run: DagRun, task_id: str, option: str, fields: Mapping[str, str]) -> None:
        """Answer the question that a task asks a person.

        Raises:
            RefusedError: It asks nothing, or was answered before.
        """
        path = (
            f"/api/v2/dags/{dag_run.dag_id}/dagRuns/{dag_run.run_id}/taskInstances/{task_id}/-1"
            "/hitlDetails"
        )
        body = {"chosen_options": [option], "params_input": dict(fields)}
        self._checked(self._send("PATCH", path, json=body))

    def clear(self, dag_run: DagRun, *, only_failed: bool = False) -> None:
        """Let a run's tasks run again: all of them, or those that failed."""
        body = {
            "dag_run_id": dag_run.run_id,
            "dry_run": False,
            "only_failed": only_failed,
            "reset_dag_runs": True,
        }
        path = f"/api/v2/dags/{dag_run.dag_id}/clearTaskInstances"
        self._checked(self._send("POST", path, json=body))

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """One run as it is now."""
        return _dag_run(self._checked(self._send("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")))

    def runs_started_by(self, dag_run: DagRun, dag_id: str) -> list[DagRun]:
        """Runs of ``dag_id`` that asset events of ``dag_run`` started."""
        path = "/api/v2/assets/events"
        parameters = {
            "source_dag_id": dag_run.dag_id,
            "source_run_id": dag_run.run_id,
            "limit": _PAGE,
        }
        events = self._checked(self._send("GET", path, params=parameters))["asset_events"]
        wanted = {
            started["run_id"]
            for event in events
            for started in event["created_dagruns"]
            if started["dag_id"] == dag_id
        }
        return [self.run(dag_id, run_id) for run_id in sorted(wanted)]

    def announced(self, dag_run: DagRun) -> bool:
        """Whether the run has sent an asset event, which starts a release sooner or later."""
        parameters = {"source_dag_id": dag_run.dag_id, "source_run_id": dag_run.run_id, "limit": 1}
        answer = self._checked(self._send("GET", "/api/v2/assets/events", params=parameters))
        return bool(answer["total_entries"])

    def tasks(self, dag_run: DagRun) -> list[TaskRun]:
        """The tasks of a run."""
        path = f"/api/v2/dags/{dag_run.dag_id}/dagRuns/{dag_run.run_id}/taskInstances"
        answer = self._checked(self._send("GET", path, params={"limit": _PAGE}))
        return [_task_run(raw) for raw in answer["task_instances"]]

    def xcom(
        self, dag_run: DagRun, task_id: str, key: str = "return_value", map_index: int = -1
    ) -> Any:
        """What a task (of a mapped one, the instance) left behind, or None."""
        path = (
            f"/api/v2/dags/{dag_run.dag_id}/dagRuns/{dag_run.run_id}/taskInstances/{task_id}"
            f"/xcomEntries/{key}"
        )
        params = {"deserialize": False, "stringify": False, "map_index": map_index}
        answer = self._send("GET", path, params=params)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return self._checked(answer)["value"]

    def log_lines(self, dag_run: DagRun, task: TaskRun) -> Iterator[str]:
        """What a task's latest attempt logged."""
        path = (
            f"/api/v2/dags/{dag_run.dag_id}/dagRuns/{dag_run.run_id}/taskInstances/{task.task_id}"
            f"/logs/{max(task.attempt, 1)}"
        )
        answer = self._send(
            "GET",
            path,
            params={"map_index": task.map_index},
            headers={"Accept": "application/json"},
        )
        if answer.is_success:
            for entry in answer.json()["content"]:
                if isinstance(entry, str):
                    yield entry
                    continue
                yield str(entry.get("event", ""))
                for error in entry.get("error_detail") or ():
                    yield f"{error.get('exc_type')}: {error.get('exc_value')}"

    def _import_problems(self) -> str:
        answer = self._send("GET", "/api/v2/importErrors", params={"limit": 5})
        if not answer.is_success:
            return ""
        return " ".join(
            f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}"
            for error in answer.json()["import_errors"]
        )

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = dict(options.pop("headers", {}))
        answer: httpx.Response | None = None
        for attempt in range(_ATTEMPTS):
            if not self._token:
                self._token = self._log_in()
            try:
                answer = self._client.request(
                    method, path, headers={**headers, **self._bearer}, **options
                )
            except httpx.TransportError as error:
                # Only reading may be asked twice: a run triggered twice is two runs.
                if method != "GET" or attempt == _ATTEMPTS - 1:
                    raise self._away(error) from None
                time.sleep(1 + attempt)
                continue
            if answer.status_code == httpx.codes.UNAUTHORIZED and attempt == 0:
                self._token = ""
                continue
            if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR or method != "GET":
                return answer
            time.sleep(1 + attempt)
        assert answer is not None
        return answer

    @property
    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _log_in(self) -> str:
        try:
            answer = self._client.post("/auth/token", json=self._login)
        except httpx.TransportError as error:
            raise self._away(error) from None
        return str(self._checked(answer)["access_token"])

    def _away(self, error: Exception) -> UnavailableError:
        return UnavailableError(
            f"Airflow at {self._client.base_url} does not answer ({type(error).__name__}). "
            "See './nightshift status' and './nightshift logs airflow-api-server'."
        )

    def _checked(self, answer: httpx.Response) -> Any:
        if answer.is_success:
            return answer.json() if answer.content else {}
        try:
            detail = answer.json().get("detail", answer.text)
        except ValueError:
            detail = answer.text
        text = f"Airflow answered {answer.status_code} to {answer.request.url.path}: {detail}"
        if answer.is_server_error:
            raise UnavailableError(text[:1000])
        raise RefusedError(text[:1000])


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _dag_run(raw: Mapping[str, Any]) -> DagRun:
    return DagRun(
        dag_id=raw["dag_id"],
        run_id=raw["dag_run_id"],
        state=RunState(raw["state"]),
        started=_moment(raw.get("start_date")),
        ended=_moment(raw.get("end_date")),
        conf=raw.get("conf") or {},
    )


def _task_run(raw: Mapping[str, Any]) -> TaskRun:
    started = _moment(raw.get("start_date"))
    duration = raw.get("duration")
    if duration is None and started and not raw.get("end_date"):
        duration = (datetime.now(started.tzinfo) - started).total_seconds()
    number = int(raw.get("map_index", -1))
    return TaskRun(
        task_id=raw["task_id"],
        state=raw.get("state"),
        attempt=int(raw["try_number"]),
        seconds=duration or 0.0,
        map_index=number,
        instance=str(raw.get("rendered_map_index") or number),
    )
