"""Statistics and schema: real flights pass; each spoiled day is told by column, file and value."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nightshift.data.lake import Lake
from nightshift.errors import ErrorKind, StepError
from nightshift.runtimes import Runtime, python_of
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.launch import run_step
from nightshift.storage.s3 import Bucket
from tests.integration.flights_lake import NIGHT, OLD, FlightsLake, Spoil, column, first_rows

NEWEST_FILE = f"flights/date={NIGHT}/part-0.parquet"
OLD_FILE = f"flights/date={OLD}/part-0.parquet"


def in_kilometres(table: pa.Table) -> pa.Table:
    return column(table, "distance", pc.multiply(table["distance"], 1.609344))


def delays_in_seconds(table: pa.Table) -> pa.Table:
    return column(table, "arr_delay", pc.multiply(table["arr_delay"], 60))


def all_to_one_airport(table: pa.Table) -> pa.Table:
    return column(table, "origin", pa.array(["JFK"] * table.num_rows))


def newark_never_arrives(table: pa.Table) -> pa.Table:
    arrived = pc.not_equal(table["origin"], "EWR")
    delays = pc.if_else(arrived, table["arr_delay"], pa.scalar(None, pa.int64()))
    return column(table, "arr_delay", delays)


SPOILED = {
    "distance in kilometres": (NIGHT, in_kilometres),
    "distance in kilometres long ago": (OLD, in_kilometres),
    "delays in seconds": (OLD, delays_in_seconds),
    "spike of nulls in a feature": (NIGHT, lambda t: first_rows(t, "carrier", 0.3, None)),
    "spike of nulls in the label": (OLD, lambda t: first_rows(t, "arr_delay", 0.8, None)),
    "new value in a closed column": (OLD, lambda t: first_rows(t, "carrier", 1 / t.num_rows, "ZZ")),
    "new values above the share": (NIGHT, lambda t: first_rows(t, "dest", 0.05, "QQQ")),
    "new values within the share": (NIGHT, lambda t: first_rows(t, "dest", 0.005, "QQQ")),
    "not a number": (NIGHT, lambda t: first_rows(t, "distance", 0.01, float("nan"))),
}
"""Name to the spoiled day and how. Each is one night of its own."""

TOLD = {
    "distance in kilometres": ("distance", NEWEST_FILE, "8019", "10 to 5100"),
    "distance in kilometres long ago": ("distance", OLD_FILE, "8019", "10 to 5100"),
    "delays in seconds": ("arr_delay", OLD_FILE, "-180 to 2880", "another unit?"),
    "spike of nulls in a feature": ("carrier", NEWEST_FILE, "204 of 680 rows are empty", "0.0%"),
    "spike of nulls in the label": ("arr_delay", OLD_FILE, "80.", "the schema allows 60.0%"),
    "new value in a closed column": ("carrier", OLD_FILE, "'ZZ' (1) not among the 16", "closed"),
    "new values above the share": ("dest", NEWEST_FILE, "'QQQ' (34)", "the schema allows 1.0%"),
    "not a number": ("distance", NEWEST_FILE, "7 of 680 rows are empty", "0.0%"),
}
"""Name to column, file and words that the error's first line must hold."""


@pytest.fixture(scope="module")
def clean(flights: FlightsLake) -> tuple[StepResult, StepResult]:
    """Snapshot and statistics of the night as it was, by the step's own process."""
    snapshot = flights.snapshot()
    return snapshot, run_step(flights.plan("statistics", snapshot=snapshot), flights.store)


@pytest.fixture(scope="module")
def results(
    flights: FlightsLake,
    clean: tuple[StepResult, StepResult],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, StepResult]]:
    """Statistics of every spoiled night and of wrong schemas, after a first release."""
    folder = tmp_path_factory.mktemp("requests")
    snapshot, statistics = clean
    requests = {"beam": flights.plan("statistics", snapshot=snapshot)}
    flights.make_champion(snapshot=snapshot, statistics=statistics)
    for name, (day, spoil) in SPOILED.items():
        requests[name] = statistics_of(flights, [day], spoil)
    requests["drift"] = statistics_of(flights, sorted(flights.tables), all_to_one_airport)
    requests["requests"] = statistics_with_requests(flights, all_to_one_airport)
    sliced = statistics_of(flights, sorted(flights.tables), newark_never_arrives)
    validation = {"validation": {"slices": ["origin"]}}
    requests["slices"] = sliced.model_copy(
        update={"parameters": {**sliced.parameters, **validation}}
    )
    for name, text in WRONG_SCHEMAS.items():
        request = flights.plan("statistics", snapshot=snapshot)
        requests[name] = request.model_copy(
            update={"folder": with_schema(flights, folder / name, text)}
        )
    for name, request in requests.items():
        (folder / f"{name}.request.json").write_text(request.model_dump_json())
    subprocess.run(
        [python_of(Runtime.VALIDATION), Path(__file__).with_name("run_many.py"), folder],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "include")},
        check=True,
        timeout=400,
    )
    flights.drop_release_log()
    yield {
        name: StepResult.model_validate_json((folder / f"{name}.result.json").read_bytes())
        for name in requests
    }


def statistics_of(flights: FlightsLake, days: Iterable[date], spoil: Spoil) -> StepRequest:
    """Statistics of a snapshot that was taken while these days were spoiled."""
    with ExitStack() as spoiled:
        for day in days:
            spoiled.enter_context(flights.spoiled(day, spoil))
        return flights.plan("statistics", snapshot=flights.snapshot())


def statistics_with_requests(flights: FlightsLake, spoil: Spoil) -> StepRequest:
    """Statistics of a night of which the features of the newest day's rows were asked for."""
    features = sorted(flights.definition.features)
    logged = Lake(flights.lake.bucket, "flights_requests")
    logged.write(NIGHT, spoil(flights.tables[NIGHT]).select(features))
    snapshot = flights.snapshot()
    logged.bucket.delete(logged.partition(NIGHT) + "part-0.parquet")
    return flights.plan("statistics", snapshot=snapshot)


WRONG_SCHEMAS = {
    "typo": ("presence {", "presense {"),
    "no feature": ('name: "distance"', 'name: "distanz"'),
    "no domain": ('domain: "carrier"', 'domain: "carriers"'),
}
"""Name to what is replaced in the shipped schema."""


def with_schema(flights: FlightsLake, parent: Path, change: tuple[str, str]) -> Path:
    folder = parent / "flights"
    shutil.copytree(flights.definition.folder, folder)
    schema = folder / "schema.pbtxt"
    schema.write_text(schema.read_text().replace(change[0], change[1], 1))
    return folder


def error_of(result: StepResult) -> StepError:
    assert result.error is not None, "the statistics let it pass"
    return result.error


def read(uri: str) -> str:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return Bucket(bucket).get(key).body.decode()


def test_the_real_night_passes_with_one_warning_about_its_new_destination(
    clean: tuple[StepResult, StepResult],
) -> None:
    result = clean[1]
    assert result.artifact, result.error
    [warning] = result.facts["warnings"]
    assert "column 'dest' on 2013-08-30" in warning
    assert "'SBN' (1)" in warning


def test_the_report_is_one_page_that_loads_nothing(clean: tuple[StepResult, StepResult]) -> None:
    page = read(clean[1].reports["Data report"])
    assert "SBN" in page
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert headings[:3] == ["Findings", "Distributions", "Distances"]
    assert page.count('<path class="one"') >= len(clean[1].metrics) // 3  # a line for each holdout
    assert "No logged requests" in page
    assert not re.findall(r"<script|<link|src=|url\(|https?:", page)


def test_the_report_links_to_what_the_expectations_step_makes_of_the_same_snapshot(
    flights: FlightsLake, clean: tuple[StepResult, StepResult]
) -> None:
    beside = flights.beside(clean[0])
    assert f"artifacts/flights/artifacts/expectations/{beside.key}" in read(
        clean[1].reports["Data report"]
    )


@pytest.mark.parametrize("name", TOLD)
def test_a_spoiled_day_stops_the_night(results: dict[str, StepResult], name: str) -> None:
    error = error_of(results[name])
    spoiled, file, *words = TOLD[name]
    first_line = error.message.splitlines()[0]
    assert error.kind is ErrorKind.BAD_DATA
    assert first_line.startswith(f"flights, night of 2013-08-31: column '{spoiled}' on 2013-08-")
    for said in (file, *words):
        assert said in first_line
    assert "trigger the night again with force" in error.message


def test_new_values_within_the_share_are_a_warning(results: dict[str, StepResult]) -> None:
    result = results["new values within the share"]
    assert result.artifact, result.error
    assert any("'QQQ' (3)" in warning for warning in result.facts["warnings"])


def test_the_failed_night_s_report_is_published(results: dict[str, StepResult]) -> None:
    report = error_of(results["distance in kilometres"]).report
    assert report is not None
    assert "another unit?" in read(report)


def test_drift_from_the_champion_is_measured_and_told_without_stopping(
    results: dict[str, StepResult],
) -> None:
    result = results["drift"]
    assert result.artifact, result.error
    assert result.metrics["drift/origin"] > 0.1 > result.metrics["drift/sched_dep_time"]
    assert not {"weekday", "month"} & {name.partition("/")[2] for name in result.metrics}
    assert any("column 'origin' in train" in warning for warning in result.facts["warnings"])


def test_what_was_asked_is_compared_with_what_was_trained_on(
    results: dict[str, StepResult],
) -> None:
    result = results["requests"]
    assert result.artifact, result.error
    assert result.metrics["skew/origin"] > 0.1 > result.metrics["skew/carrier"]
    assert "skew/arr_delay" not in result.metrics  # nobody asks with the label
    warnings = [w for w in result.facts["warnings"] if "logged requests" in w]
    assert any("column 'origin'" in w for w in warnings)
    assert "680 logged request rows" in read(result.reports["Data report"])


def test_a_declared_slice_has_statistics_and_limits_of_its_own(
    results: dict[str, StepResult],
) -> None:
    result = results["slices"]
    assert result.artifact, result.error
    told = [w for w in result.facts["warnings"] if "train where origin = EWR" in w]
    assert any("column 'arr_delay'" in warning for warning in told)
    assert not any("origin = JFK" in warning for warning in result.facts["warnings"])
    assert "origin = LGA" in read(result.reports["Data report"])


def test_beam_counts_the_same(
    clean: tuple[StepResult, StepResult], results: dict[str, StepResult]
) -> None:
    assert results["beam"].artifact, results["beam"].error
    for name, value in clean[1].metrics.items():
        # Quantiles are sketched, so they depend on how the rows were cut into batches.
        assert results["beam"].metrics[name] == pytest.approx(value, abs=0.02), name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("typo", 'Feature" has no field named "presense"'),
        ("no feature", "flights/schema.pbtxt: has no feature 'distance', which pipeline.yaml"),
        ("no domain", "feature 'carrier' names the domain 'carriers'"),
    ],
)
def test_a_wrong_schema_is_told_by_file_and_place(
    results: dict[str, StepResult], name: str, said: str
) -> None:
    error = error_of(results[name])
    assert error.kind is ErrorKind.BAD_DEFINITION
    assert said in error.message
