"""Expectations: real flights pass; rows that types and ranges cannot tell are told here."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nightshift.errors import ErrorKind, StepError
from nightshift.steps.contract import StepResult
from nightshift.steps.launch import run_step
from nightshift.steps.run import execute
from nightshift.storage.s3 import Bucket
from tests.integration.flights_lake import NIGHT, OLD, FlightsLake, Spoil, column, first_rows


def in_minutes(table: pa.Table) -> pa.Table:
    """Scheduled departure as minutes after midnight: every value is still a valid HHMM number."""
    hhmm = table["sched_dep_time"]
    hours = pc.divide(hhmm, 100)
    minutes = pc.subtract(hhmm, pc.multiply(hours, 100))
    return column(table, "sched_dep_time", pc.add(pc.multiply(hours, 60), minutes))


def half_distances(table: pa.Table) -> pa.Table:
    return column(table, "distance", pc.divide(table["distance"], 2.0))


SPOILED: dict[str, tuple[object, Spoil]] = {
    "times in minutes": (OLD, in_minutes),
    "duplicate rows": (OLD, lambda t: pa.concat_tables([t, t.slice(10, 5)])),
    "another month": (NIGHT, lambda t: first_rows(t, "month", 0.1, 9)),
    "another unit within the range": (NIGHT, half_distances),
    "an airport without its feed": (NIGHT, lambda t: t.filter(pc.not_equal(t["origin"], "LGA"))),
}

TOLD = {
    "times in minutes": (
        "column 'departure_minute' on 2013-08-20 (flights/date=2013-08-20/part-0.parquet)",
        "expected min_value 0, max_value 59",
        "Minutes after midnight",
    ),
    "duplicate rows": (
        "columns 'date, carrier, flight, origin, sched_dep_time' on 2013-08-20",
        "expect_compound_columns_to_be_unique: 10 of 19,791 rows unexpected",
        "dataset.unique in pipeline.yaml",
    ),
    "another month": (
        "columns 'month, month_of_date' on 2013-08-31",
        "68 of 19,786 rows unexpected",
    ),
    "another unit within the range": (
        "column 'distance' on 2013-08-31 (flights/date=2013-08-31/part-0.parquet)",
        "observed 5",
        "expected min_value 850, max_value 1250",
    ),
    "an airport without its feed": ("column 'origin' on 2013-08-31", "LGA"),
}


@contextmanager
def snapshot_of(flights: FlightsLake, day: object, spoil: Spoil) -> Iterator[StepResult]:
    with flights.spoiled(day, spoil):  # type: ignore[arg-type]
        yield flights.snapshot()


def expectations_of(flights: FlightsLake, snapshot: StepResult) -> StepResult:
    return execute(flights.plan("expectations", snapshot=snapshot), flights.store)


def error_of(result: StepResult) -> StepError:
    assert result.error is not None, "the expectations let it pass"
    return result.error


def pages(flights: FlightsLake, uri: str) -> dict[str, str]:
    """Every page of the site that a report's address opens."""
    bucket = Bucket(flights.store.bucket.name)
    site = uri.removeprefix(f"s3://{bucket.name}/").removesuffix("index.html")
    return {
        item.key.removeprefix(site): bucket.get(item.key).body.decode()
        for item in bucket.list(site)
        if item.key.endswith(".html")
    }


def test_the_real_night_passes_and_its_data_docs_load_nothing(flights: FlightsLake) -> None:
    result = run_step(flights.plan("expectations", snapshot=flights.snapshot()), flights.store)
    assert result.artifact, result.error
    assert result.metrics == {"expectations": 9.0, "expectations_broken": 0.0}
    site = pages(flights, result.reports["Data Docs"])
    assert {"index.html", "expectations/window.html", "expectations/newest_day.html"} <= set(site)
    assert site["index.html"].count("all rules hold") == 2
    for page in site.values():
        assert not re.findall(r"<(?:script|link|img)\b[^>]*https?://", page)


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_day_stops_the_night(
    flights: FlightsLake, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with snapshot_of(flights, *SPOILED[name]) as snapshot:
        assert snapshot.artifact, snapshot.error
        error = error_of(expectations_of(flights, snapshot))
    first_line = error.message.splitlines()[0]
    assert error.kind is ErrorKind.BAD_DATA
    for said in TOLD[name]:
        assert said in first_line
    assert "trigger the night again with force" in error.message
    assert error.report is not None
    assert "broken rules" in pages(flights, error.report)["index.html"]
    assert "Traceback" not in caplog.text


def test_a_broken_rule_of_severity_warning_does_not_stop_the_night(flights: FlightsLake) -> None:
    def stormy(table: pa.Table) -> pa.Table:
        return first_rows(table, "arr_delay", 0.3, None)

    with snapshot_of(flights, NIGHT, stormy) as snapshot:
        result = expectations_of(flights, snapshot)
    assert result.artifact, result.error
    [warning] = result.facts["warnings"]
    assert "column 'arr_delay' on 2013-08-31" in warning
    assert "expected mostly 0.8" in warning


WRONG = {
    "unknown expectation": (
        ("expect_column_mean_to_be_between", "expect_column_mean_to_be_betwen"),
        "(expect_column_mean_to_be_betwen): Great Expectations knows no such expectation; did you "
        "mean 'expect_column_mean_to_be_between'?",
    ),
    "unknown argument": (
        ("mostly: 0.8", "mosty: 0.8"),
        "arguments: mosty: extra fields not permitted; did you mean 'mostly'?",
    ),
    "failing expression": (
        ("date.str[5:7].astype('int64')", "date.str[5:7].astype('int65')"),
        "derived.month_of_date:",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_told_by_entry(flights: FlightsLake, tmp_path: Path, name: str) -> None:
    (before, after), said = WRONG[name]
    folder = tmp_path / "flights"
    shutil.copytree(flights.definition.folder, folder)
    rules = folder / "expectations.yaml"
    assert before in rules.read_text()
    rules.write_text(rules.read_text().replace(before, after))
    request = flights.plan("expectations", snapshot=flights.snapshot())
    error = error_of(execute(request.model_copy(update={"folder": folder}), flights.store))
    assert error.kind is ErrorKind.BAD_DEFINITION
    assert "flights/expectations.yaml" in error.message
    assert said in error.message
