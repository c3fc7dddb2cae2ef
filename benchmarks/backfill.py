"""Nights in a row, backfilled by Airflow's scheduler; every alarm is listed.

``benchmarks/backfill FIRST LAST`` (nights) on a stack that ``./nightshift demo`` has seeded. An
alarm is a warning of the statistics or the expectations, or a task that failed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from nightshift.artifacts import ArtifactStore
from nightshift.artifacts.manifest import ArtifactRef
from nightshift.definition.load import load_pipeline
from nightshift.runtimes import Runtime
from nightshift.stack.airflow_api import AirflowApi, DagRun
from nightshift.stack.environment import step_environment
from nightshift.stack.settings import current_settings
from nightshift.storage.s3 import artifact_bucket

PIPELINE = "flights"
DAG = f"retrain_{PIPELINE}"


def main(first: str, last: str) -> None:
    """Backfill, wait, print one line per night and alarm in Markdown."""
    settings = current_settings()
    os.environ.update(step_environment(settings, Runtime.TOOLS))
    store = ArtifactStore(artifact_bucket())
    with AirflowApi(settings) as api:
        api.wait_for_dag(DAG, 60)
        api.unpause(DAG)
        runs = api.backfill(DAG, logical_date(first), logical_date(last))
        print(f"{len(runs)} nights\n\n| night | ended | seconds | AUC | champion | alarms |")
        print("|---|---|---|---|---|---|", flush=True)
        for offset, run in enumerate(runs):
            night = date.fromisoformat(first) + timedelta(days=offset)
            ended = finished(api, run)
            metrics = returned(api, ended, "evaluate").get("metrics", {})
            alarms = "; ".join(alarms_of(api, store, ended)) or "none"
            aucs = " | ".join(number(metrics.get(name)) for name in ("auc", "champion_auc"))
            print(
                f"| {night} | {ended.state} | {ended.seconds:.0f} | {aucs} | {alarms} |", flush=True
            )


def logical_date(night: str) -> datetime:
    """When the schedule's data interval of a night begins: at the cron's time on that day."""
    schedule = load_pipeline(PIPELINE).schedule
    minute, hour = (int(part) for part in (schedule.cron or "").split()[:2])
    day = date.fromisoformat(night)
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=schedule.zone)


def finished(api: AirflowApi, run: DagRun) -> DagRun:
    """The run once it has ended."""
    while not run.state.ended:
        time.sleep(0.5)
        run = api.run(run.dag_id, run.run_id)
    return run


def returned(api: AirflowApi, run: DagRun, task: str) -> dict[str, Any]:
    """What a task left behind; empty where it did not end well."""
    left = api.xcom(run, task)
    return left if isinstance(left, dict) else {}


def alarms_of(api: AirflowApi, store: ArtifactStore, run: DagRun) -> Iterator[str]:
    """Warnings of the data, then what failed."""
    for task in ("statistics", "expectations"):
        reference = returned(api, run, task).get("artifact")
        if reference:
            manifest = store.open(ArtifactRef.model_validate(reference)).manifest
            yield from (f"{task}: {' '.join(str(w).split())}" for w in manifest.facts["warnings"])
    for each in api.tasks(run):
        if each.state == "failed":
            said = api.xcom(run, each.task_id, "error") or "no reason given"
            yield f"**{each.task_id} failed**: {' '.join(str(said).split())}"


def number(value: float | None) -> str:
    """A metric, or a dash."""
    return "-" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main(*sys.argv[1:3])
