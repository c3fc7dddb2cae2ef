"""A bad night is stopped in Airflow itself: red at once, one clear error, the champion goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from nightshift.data.lake import Lake, parquet_bytes
from nightshift.data.sources import flights
from nightshift.stack.airflow_api import DagRun, RunState
from nightshift.storage.s3 import lake_bucket
from tests.integration.flights_lake import column
from tests.integration.night.conftest import PIPELINE, Stack

NIGHT = date(2013, 10, 15)
"""No other test's window reaches this day."""

Spoil = Callable[[pa.Table], pa.Table]


def renamed(table: pa.Table) -> pa.Table:
    return table.rename_columns(["carier" if n == "carrier" else n for n in table.column_names])


def in_kilometres(table: pa.Table) -> pa.Table:
    kilometres = [miles * 1.609 for miles in table["distance"].to_pylist()]
    return column(table, "distance", pa.array(kilometres, pa.float64()))


@contextmanager
def lake_with(spoil: Spoil) -> Iterator[None]:
    """The night's own partition spoiled; repaired afterwards."""
    lake = Lake(lake_bucket(), PIPELINE)
    key = f"{lake.partition(NIGHT)}part-0.parquet"
    table = next(table for day, table in flights.days() if day == NIGHT)
    lake.bucket.put(key, parquet_bytes(spoil(table)))
    try:
        yield
    finally:
        lake.bucket.put(key, parquet_bytes(table))


@contextmanager
def model_that_raises(stack: Stack) -> Iterator[None]:
    path = Path(stack.environment["NIGHTSHIFT_PIPELINES"], PIPELINE, "model.py")
    kept = path.read_text(encoding="utf-8")
    path.write_text(kept.replace("    width =", '    features["carier"]\n    width ='), "utf-8")
    try:
        yield
    finally:
        path.write_text(kept, encoding="utf-8")


def fails_at(stack: Stack, task: str, *words: str) -> DagRun:
    """A forced night ends red at this task, without a retry, its error holding the words."""
    before = stack.record
    run = stack.finish(stack.start_night(NIGHT.isoformat(), force=True))
    assert run.state is RunState.FAILED
    states = {t.task_id: t for t in stack.api.tasks(run)}
    assert states[task].state == "failed"
    assert states[task].attempt == 1
    said = str(stack.api.xcom(run, task, "error"))
    for word in words:
        assert word in said, said
    assert {states[t].state for t in ("evaluate", "gate", "register")} == {"upstream_failed"}
    assert stack.record == before
    return run


@pytest.fixture(scope="module", autouse=True)
def champion(stack: Stack) -> None:
    if stack.record.champion is None:
        stack.green_night("2013-08-29")


def test_a_renamed_column_stops_the_night_at_the_snapshot(stack: Stack) -> None:
    with lake_with(renamed):
        fails_at(
            stack, "snapshot", "2013-10-15", "'carrier'", "'carier' (string) may be its new name"
        )


def test_another_unit_stops_the_night_before_training(stack: Stack) -> None:
    with lake_with(in_kilometres):
        run = stack.finish(stack.start_night(NIGHT.isoformat(), force=True))
    assert run.state is RunState.FAILED
    tasks = {t.task_id: t.state for t in stack.api.tasks(run)}
    assert "failed" in (tasks["statistics"], tasks["expectations"])
    assert tasks["train"] == "upstream_failed"
    said = " ".join(
        str(stack.api.xcom(run, task, "error")) for task in ("statistics", "expectations")
    )
    assert "distance" in said
    assert "date=2013-10-15" in said


def test_a_model_that_raises_stops_the_night_and_names_the_line(stack: Stack) -> None:
    with model_that_raises(stack):
        fails_at(stack, "train", "flights/model.py, line", "KeyError: 'carier'")
