"""What Prometheus is told of Airflow's nights, read from Airflow's own tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from airflow.jobs.job import Job
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.taskinstance import TaskInstance
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine, insert, update
from sqlalchemy.orm import Session

from nightshift_airflow.routes.app import nightshift_app
from nightshift_airflow.routes.metrics import TOKEN_FILE, NewestRun, Seen, families, look, page

NOW = datetime(2026, 3, 2, 4, tzinfo=UTC)
RETRAIN = "retrain_flights"
RULES = Path(__file__).parents[2] / "include/monitoring/rules.yml"


class Database:
    """Airflow's tables, with what a test puts there."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def dag(self, dag_id: str, *, tag: str = "nightshift", stale: bool = False) -> None:
        self._add(
            DagModel,
            dag_id=dag_id,
            is_stale=stale,
            bundle_name="dags",
            max_active_tasks=1,
            max_consecutive_failed_dag_runs=0,
            has_task_concurrency_limits=False,
        )
        self._add(DagTag, name=tag, dag_id=dag_id)

    def run(
        self, run_id: str, state: str, dag_id: str = RETRAIN, *, cleared: int = 0, **tasks: str
    ) -> None:
        began = None if state == "queued" and not cleared else NOW - timedelta(minutes=5)
        self._add(
            DagRun,
            dag_id=dag_id,
            run_id=run_id,
            run_type="scheduled",
            state=state,
            start_date=began,
            run_after=NOW,
            clear_number=cleared,
        )
        for task_id, task_state in tasks.items():
            name, _, index = task_id.partition("__")
            self._add(
                TaskInstance,
                id=uuid4(),
                dag_id=dag_id,
                run_id=run_id,
                task_id=name,
                map_index=int(index or -1),
                state=task_state,
                pool="default_pool",
                pool_slots=1,
                try_number=1,
                max_tries=3,
            )

    def clear(self, run_id: str) -> None:
        """As Airflow does: the run is queued again, its failed tasks have no state."""
        self.session.execute(
            update(DagRun).where(DagRun.run_id == run_id).values(_state="queued", clear_number=1)
        )
        self.session.execute(
            update(TaskInstance).where(TaskInstance.run_id == run_id).values(state=None)
        )

    def beat(self, kind: str, seconds_ago: float) -> None:
        at = NOW - timedelta(seconds=seconds_ago)
        self._add(Job, job_type=kind, state="running", latest_heartbeat=at)

    def broken(self, file: str) -> None:
        self._add(ParseImportError, filename=file, bundle_name="dags", stacktrace="line 3: …")

    def look(self) -> Seen:
        return look(self.session, NOW)

    def _add(self, model: Any, **values: Any) -> None:
        self.session.execute(insert(model.__table__).values(**values))


@pytest.fixture
def database() -> Iterator[Database]:
    import_all_models()
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        found = Database(session)
        found.dag(RETRAIN)
        yield found


def test_a_task_that_used_up_its_tries_has_failed(database: Database) -> None:
    database.run("one", "failed", snapshot="success", train="failed", gate="upstream_failed")
    assert database.look().runs == (NewestRun(RETRAIN, "scheduled", failed=frozenset({"train"})),)


def test_it_is_told_while_the_rest_of_the_night_goes_on(database: Database) -> None:
    database.run("one", "running", statistics="failed", expectations="running")
    (run,) = database.look().runs
    assert (set(run.failed), run.seconds) == ({"statistics"}, 300.0)


def test_a_task_that_will_be_tried_again_has_not_failed(database: Database) -> None:
    database.run("one", "running", train="up_for_retry")
    assert database.look().runs == (NewestRun(RETRAIN, "scheduled", seconds=300.0),)


def test_a_cleared_night_has_not_failed_any_more(database: Database) -> None:
    database.run("before", "failed", snapshot="failed")
    database.run("one", "failed", train="failed")
    database.clear("one")
    (run,) = database.look().runs
    assert run.failed == frozenset()


def test_only_the_newest_night_counts(database: Database) -> None:
    database.run("one", "failed", train="failed")
    database.run("two", "success", train="success")
    assert database.look().runs == (NewestRun(RETRAIN, "scheduled"),)


def test_a_night_that_waits_for_its_turn_hides_nothing(database: Database) -> None:
    database.run("one", "failed", train="failed")
    database.run("two", "queued")
    (run,) = database.look().runs
    assert run.failed == {"train"}


def test_of_mapped_tasks_one_is_enough(database: Database) -> None:
    database.run("one", "failed", quantize__0="success", quantize__1="failed", quantize__2="failed")
    (run,) = database.look().runs
    assert run.failed == {"quantize"}


def test_a_run_that_failed_without_a_failed_task_is_told_too(database: Database) -> None:
    database.run("one", "failed", train="skipped")
    (run,) = database.look().runs
    assert run.failed == {""}


def test_a_task_that_waits_for_a_person(database: Database) -> None:
    database.run("one", "running", gate="success", approve="awaiting_input")
    (run,) = database.look().runs
    assert (set(run.asking), set(run.failed)) == ({"approve"}, set())


def test_other_peoples_dags_and_those_that_are_gone_are_not_looked_at(database: Database) -> None:
    database.dag("theirs", tag="etl")
    database.dag("retrain_gone", stale=True)
    for dag_id in ("theirs", "retrain_gone"):
        database.run("one", "failed", dag_id, train="failed")
    assert database.look().runs == ()


def test_each_dag_has_its_own_newest_run(database: Database) -> None:
    database.dag("release_flights")
    database.run("one", "failed", train="failed")
    database.run("one", "success", "release_flights", watch="success")
    assert [(run.dag_id, len(run.failed)) for run in database.look().runs] == [
        ("release_flights", 0),
        (RETRAIN, 1),
    ]


def test_the_most_alive_of_several_schedulers_counts(database: Database) -> None:
    database.beat("SchedulerJob", 500)
    database.beat("SchedulerJob", 3)
    database.beat("TriggererJob", 90)
    database.beat("LocalTaskJob", 1)
    assert database.look().silent_seconds == {"scheduler": 3.0, "triggerer": 90.0}


def test_a_dag_file_that_cannot_be_imported(database: Database) -> None:
    database.broken("retrain_flights.py")
    assert database.look().broken_files == {"retrain_flights.py"}


def test_the_page_is_what_prometheus_reads() -> None:
    failed, asking = frozenset({"train"}), frozenset({"approve"})
    run = NewestRun(RETRAIN, "scheduled", 12.5, failed, asking)
    text = page(Seen((run,), {"scheduler": 3.0}, frozenset({"a.py"}))).decode()
    found = {
        sample.name: (sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found == {
        "nightshift_failed_task": (
            {"dag_id": RETRAIN, "run_type": "scheduled", "task_id": "train"},
            1.0,
        ),
        "nightshift_asking_task": ({"dag_id": RETRAIN, "task_id": "approve"}, 1.0),
        "nightshift_run_seconds": ({"dag_id": RETRAIN, "run_type": "scheduled"}, 12.5),
        "nightshift_airflow_silent_seconds": ({"part": "scheduler"}, 3.0),
        "nightshift_broken_dag_file": ({"file": "a.py"}, 1.0),
    }


def test_all_that_the_alerts_ask_for_is_exported() -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    (nights,) = [group["rules"] for group in groups if group["name"] == "nightshift-nights"]
    asked = set(re.findall(r"\bnightshift_\w+", " ".join(rule["expr"] for rule in nights)))
    assert asked == {family.name for family in families(Seen())}


# --- The door ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [None, "Bearer another", "Bearer ", "right", "Bearer \xe4"])
def test_nobody_reads_the_metrics_without_the_token(
    shown: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("right\n")
    monkeypatch.setenv(TOKEN_FILE, str(file))
    headers = {"authorization": shown.encode("latin-1")} if shown else {}
    answer = TestClient(nightshift_app()).get("/metrics", headers=headers)
    assert answer.status_code == 401
    assert "metrics token" in json.dumps(answer.json())


def test_without_a_token_of_ours_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    client = TestClient(nightshift_app())
    for file in (None, "/nowhere/token"):
        if file:
            monkeypatch.setenv(TOKEN_FILE, file)
        assert client.get("/metrics", headers={"authorization": "Bearer "}).status_code == 401
