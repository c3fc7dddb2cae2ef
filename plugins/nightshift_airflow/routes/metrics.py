"""What Prometheus reads of Airflow: which nights failed or wait, for people who are not looking.

At every scrape the newest run of each Nightshift DAG is read from Airflow's database. Shown is what
is so now, not what happened: a cleared task has not failed any more, and no failure is lost because
Prometheus or this server was away when it came.
"""

from __future__ import annotations

import hmac
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import and_, func, or_, select

from nightshift_airflow.dag_parts import TAG

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.orm import Session

TOKEN_FILE = "NIGHTSHIFT_METRICS_TOKEN_FILE"
"""Names the file with the token that opens the metrics; read at every request."""
_PARTS = {
    "SchedulerJob": "scheduler",
    "TriggererJob": "triggerer",
    "DagProcessorJob": "dag-processor",
}
"""Airflow's kinds of job, by the names of the commands that run them."""


@dataclass(frozen=True)
class NewestRun:
    """The newest run of one DAG, of those that have begun.

    Attributes:
        dag_id: Its DAG.
        run_type: ``scheduled``, ``asset_triggered``, ``manual`` or ``backfill``.
        seconds: How long it has been under way; 0 where it has ended.
        failed: Tasks that used up their tries; an empty name where the run failed without one.
        asking: Tasks that wait for a person.
    """

    dag_id: str
    run_type: str
    seconds: float = 0.0
    failed: frozenset[str] = frozenset()
    asking: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Seen:
    """Airflow at one moment.

    Attributes:
        runs: One of each Nightshift DAG that ever ran.
        silent_seconds: Since the last heartbeat of scheduler, triggerer and DAG processor.
        broken_files: DAG files that cannot be imported.
    """

    runs: tuple[NewestRun, ...] = ()
    silent_seconds: Mapping[str, float] = field(default_factory=dict)
    broken_files: frozenset[str] = frozenset()


def metrics_router() -> APIRouter:
    """``GET /metrics``, for whoever shows the token."""
    router = APIRouter(dependencies=[Depends(_shows_token)])
    router.add_api_route("/metrics", show_metrics, methods=["GET"])
    return router


def show_metrics() -> Response:
    """The text that Prometheus reads."""
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        seen = look(session, datetime.now(UTC))
    return Response(page(seen), media_type=CONTENT_TYPE_LATEST)


def _shows_token(request: Request) -> None:
    given = request.headers.get("authorization", "").encode()
    expected = _token()
    if not expected or not hmac.compare_digest(given, f"Bearer {expected}".encode()):
        raise HTTPException(401, "Show the metrics token as a bearer token.")


def _token() -> str:
    """The token; an empty one, which lets nobody in, where there is no file."""
    try:
        return Path(os.environ[TOKEN_FILE]).read_text(encoding="utf-8").strip()
    except (KeyError, OSError):
        return ""


def page(seen: Seen) -> bytes:
    """All metrics, as text of the type ``CONTENT_TYPE_LATEST``."""
    registry = CollectorRegistry()
    registry.register(_Collected(seen))
    return generate_latest(registry)


class _Collected(Collector):
    """One moment, in the shape that the library takes."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        return families(self._seen)


def families(seen: Seen) -> Iterator[Metric]:
    """Every metric of Airflow."""
    yield _gauge(
        "failed_task",
        "1 for each task of a DAG's newest run that used up its tries.",
        ["dag_id", "run_type", "task_id"],
        (((run.dag_id, run.run_type, task), 1) for run in seen.runs for task in sorted(run.failed)),
    )
    yield _gauge(
        "asking_task",
        "1 for each task of a DAG's newest run that waits for a person.",
        ["dag_id", "task_id"],
        (((run.dag_id, task), 1) for run in seen.runs for task in sorted(run.asking)),
    )
    yield _gauge(
        "run_seconds",
        "Seconds that a DAG's newest run has been under way; 0 where it has ended.",
        ["dag_id", "run_type"],
        (((run.dag_id, run.run_type), run.seconds) for run in seen.runs),
    )
    yield _gauge(
        "airflow_silent_seconds",
        "Seconds since the last heartbeat of a part of Airflow.",
        ["part"],
        (((part,), seconds) for part, seconds in seen.silent_seconds.items()),
    )
    yield _gauge(
        "broken_dag_file",
        "1 for each DAG file that cannot be imported.",
        ["file"],
        (((file,), 1) for file in sorted(seen.broken_files)),
    )


def _gauge(
    name: str, says: str, labels: list[str], samples: Iterable[tuple[tuple[str, ...], float]]
) -> Metric:
    family = GaugeMetricFamily(f"nightshift_{name}", says, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


# --- Reading the database ---------------------------------------------------------------------


def look(session: Session, now: datetime) -> Seen:
    """Read all of it.

    Args:
        session: Of Airflow's database.
        now: UTC.
    """
    return Seen(
        runs=tuple(_runs(session, now)),
        silent_seconds=_silences(session, now),
        broken_files=_broken_files(session),
    )


def _runs(session: Session, now: datetime) -> Iterator[NewestRun]:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.state import DagRunState, TaskInstanceState

    newest = _newest_ids()
    tasks: dict[tuple[str, str | None], set[str]] = defaultdict(set)
    for dag_id, state, task_id in session.execute(
        select(TaskInstance.dag_id, TaskInstance.state, TaskInstance.task_id)
        .join(
            DagRun,
            and_(DagRun.dag_id == TaskInstance.dag_id, DagRun.run_id == TaskInstance.run_id),
        )
        .where(
            DagRun.id.in_(newest),
            TaskInstance.state.in_((TaskInstanceState.FAILED, TaskInstanceState.AWAITING_INPUT)),
        )
    ):
        tasks[dag_id, state].add(task_id)
    for dag_id, run_type, state, began in session.execute(
        select(DagRun.dag_id, DagRun.run_type, DagRun.state, DagRun.start_date)
        .where(DagRun.id.in_(newest))
        .order_by(DagRun.dag_id)
    ):
        goes_on = state in (DagRunState.RUNNING, DagRunState.QUEUED)
        failed = tasks[dag_id, TaskInstanceState.FAILED]
        yield NewestRun(
            dag_id=dag_id,
            run_type=run_type,
            seconds=(now - began).total_seconds() if goes_on and began else 0.0,
            failed=frozenset(failed or ({""} if state == DagRunState.FAILED else ())),
            asking=frozenset(tasks[dag_id, TaskInstanceState.AWAITING_INPUT]),
        )


def _newest_ids() -> Select[int]:
    """Of each DAG with our tag that is still there, the newest run that has begun.

    A night that still waits for its turn hides nothing of the one before; a cleared run, which
    waits for its turn as well, has begun before.
    """
    from airflow.models.dag import DagModel, DagTag
    from airflow.models.dagrun import DagRun
    from airflow.utils.state import DagRunState

    begun = or_(DagRun.state != DagRunState.QUEUED, DagRun.clear_number > 0)
    return (
        select(func.max(DagRun.id))
        .join(DagModel, DagModel.dag_id == DagRun.dag_id)
        .join(DagTag, DagTag.dag_id == DagRun.dag_id)
        .where(DagTag.name == TAG, DagModel.is_stale.is_(False), begun)
        .group_by(DagRun.dag_id)
    )


def _silences(session: Session, now: datetime) -> dict[str, float]:
    """By part; one that never ran is not in it. Of several of a kind the most alive counts."""
    from airflow.jobs.job import Job

    beats = session.execute(
        select(Job.job_type, func.max(Job.latest_heartbeat))
        .where(Job.job_type.in_(_PARTS))
        .group_by(Job.job_type)
    )
    return {_PARTS[kind]: (now - last).total_seconds() for kind, last in beats if kind and last}


def _broken_files(session: Session) -> frozenset[str]:
    from airflow.models.errors import ParseImportError

    names = session.scalars(select(ParseImportError.filename))
    return frozenset(name for name in names if name)
