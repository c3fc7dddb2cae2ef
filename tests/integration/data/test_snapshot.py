"""The snapshot pins good data and tells bad data by its file, column, value and limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nightshift.data.lake import Lake
from nightshift.data.pinned import Snapshot, Split
from nightshift.data.reader import download, read_snapshot, read_table
from nightshift.errors import BadDataError, ErrorKind, StepError
from nightshift.steps.contract import StepResult
from nightshift.steps.launch import run_step
from nightshift.steps.run import execute
from tests.integration.flights_lake import DAYS, NIGHT, OLD, FlightsLake, Spoil, column

PARTITION = "flights/date=2013-08-31/"
FILE = f"{PARTITION}part-0.parquet"


def content(flights: FlightsLake, result: StepResult) -> Snapshot:
    assert result.artifact, result.error
    return read_snapshot(flights.store, flights.store.open(result.artifact))


def error_of(result: StepResult) -> StepError:
    assert result.error is not None, "the snapshot took it"
    assert result.artifact is None
    assert result.error.kind is ErrorKind.BAD_DATA
    return result.error


def test_a_step_process_pins_every_day_of_the_window(flights: FlightsLake) -> None:
    result = run_step(flights.plan("snapshot"), flights.store)
    snapshot = content(flights, result)
    assert [f.date for f in snapshot.files] == sorted(flights.tables)
    assert len(snapshot.split(Split.HOLDOUT)) == 7
    assert snapshot.rows(Split.TRAIN) == result.metrics["train_rows"] == 13_339
    assert result.metrics["days"] == DAYS
    assert all(f.version_id for f in snapshot.files)


def test_pinned_bytes_are_read_after_the_partition_was_rewritten(
    flights: FlightsLake, tmp_path: Path
) -> None:
    snapshot = content(flights, flights.snapshot())
    with flights.spoiled(NIGHT, lambda table: table.slice(0, 500)):
        files = download(snapshot, Split.HOLDOUT, tmp_path)
    [newest] = [f for f in files if f[0].date == NIGHT]
    assert read_table([newest], ["dest"])["dest"].equals(flights.tables[NIGHT]["dest"])


def test_a_pinned_version_that_left_the_lake_is_bad_data(
    flights: FlightsLake, tmp_path: Path
) -> None:
    with flights.spoiled(NIGHT, lambda table: table.slice(0, 500)):
        snapshot = content(flights, flights.snapshot())
    gone = snapshot.files[-1]
    flights.lake.bucket.client.delete_object(
        Bucket=flights.lake.bucket.name, Key=gone.key, VersionId=str(gone.version_id)
    )
    with pytest.raises(BadDataError, match="no longer in the lake"):
        download(snapshot, Split.HOLDOUT, tmp_path)


def renamed(table: pa.Table) -> pa.Table:
    return table.rename_columns(["destination" if c == "dest" else c for c in table.column_names])


def times_as_text(table: pa.Table) -> pa.Table:
    return column(table, "sched_dep_time", pc.cast(table["sched_dep_time"], pa.string()))


def one_row_of(day: str) -> Spoil:
    return lambda table: column(
        table, "date", pa.array([day, *table["date"].to_pylist()[1:]], pa.string())
    )


BAD: dict[str, tuple[Spoil | bytes | None, list[str]]] = {
    "missing column": (
        lambda table: table.drop_columns(["dest"]),
        [FILE, "column 'dest' (string, for features) is missing"],
    ),
    "renamed column": (renamed, [FILE, "column 'dest'", "'destination' (string) may be its new"]),
    "changed type": (
        times_as_text,
        [FILE, "column 'sched_dep_time' is string, expected int (for features)"],
    ),
    "empty day": (lambda table: table.slice(0, 0), [PARTITION, "the day is empty: 0 rows", "400"]),
    "short day": (lambda table: table.slice(0, 399), [PARTITION, "399 rows", "400"]),
    "missing day": (None, [PARTITION, "the day 2013-08-31 is missing"]),
    "not Parquet": (b"date,dest\n2013-08-31,ORD\n", [FILE, "the file is not Parquet (25 bytes"]),
    "nothing": (b"", [FILE, "the file is empty (0 bytes)"]),
    "row from the future": (
        one_row_of("2013-09-02"),
        [FILE, "1 of 680 rows have 'date' 2013-09-02, expected 2013-08-31", "not known that night"],
    ),
    "row of another day": (
        one_row_of("2013-08-30"),
        [FILE, "1 of 680 rows have 'date' 2013-08-30, expected 2013-08-31"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_told_by_file_value_and_limit(flights: FlightsLake, name: str) -> None:
    spoil, said = BAD[name]
    with flights.spoiled(NIGHT, spoil):
        error = error_of(flights.snapshot())
    first_line = error.message.splitlines()[0]
    assert first_line.startswith("flights, night of 2013-08-31: s3://lake-data/")
    for words in said:
        assert words in first_line
    assert "Repair the lake, then clear this task" in error.message


def test_a_truncated_file_is_told_as_such(flights: FlightsLake) -> None:
    whole = flights.bytes_of(OLD)
    with flights.spoiled(OLD, whole[: len(whole) // 2]):
        error = error_of(flights.snapshot())
    assert "flights/date=2013-08-20/part-0.parquet: the file is cut off or damaged" in error.message


def test_every_problem_is_in_the_facts_and_unreadable_files_are_not_called_short(
    flights: FlightsLake,
) -> None:
    with flights.spoiled(NIGHT, b"x"), flights.spoiled(OLD, renamed):
        error = error_of(flights.snapshot())
    assert [(p["rule"], p["day"]) for p in error.facts["problems"]] == [
        ("readable Parquet", "2013-08-31"),
        ("missing column", "2013-08-20"),
    ]
    assert "(and 1 more)" in error.message


def test_nothing_is_committed_for_bad_data(flights: FlightsLake) -> None:
    request = flights.plan("snapshot")
    with flights.spoiled(NIGHT, None):
        error_of(execute(request, flights.store))
    assert flights.store.find("flights", "snapshot", request.key) is None


def test_the_champion_is_pinned_and_its_files_are_not_read_again(
    flights: FlightsLake, caplog: pytest.LogCaptureFixture
) -> None:
    first = flights.snapshot()
    flights.make_champion(snapshot=first)
    with caplog.at_level("INFO", logger="nightshift.step"):
        second = flights.snapshot()
    flights.drop_release_log()
    assert f"(0 read, {DAYS} known from the champion's snapshot)" in caplog.text
    old, new = content(flights, first), content(flights, second)
    assert new.files == old.files
    assert new.types == old.types
    assert new.baseline.champion is not None
    assert new.baseline.champion.version == second.facts["champion_version"] == 1


def test_bad_data_in_a_new_version_is_found_beside_known_files(flights: FlightsLake) -> None:
    flights.make_champion(snapshot=flights.snapshot())
    with flights.spoiled(OLD, renamed):
        error = error_of(flights.snapshot())
    flights.drop_release_log()
    assert "'destination' (string) may be its new name" in error.message


def test_a_window_that_the_lake_does_not_reach_names_the_missing_days(
    flights: FlightsLake,
) -> None:
    request = flights.plan("snapshot").model_copy(update={"night": date(2013, 9, 3)})
    error = error_of(execute(request, flights.store))
    assert "3 days are missing, 2013-09-01 to 2013-09-03" in error.message


def test_logged_requests_of_the_held_out_days_are_pinned(flights: FlightsLake) -> None:
    with (
        logged(flights, NIGHT, sorted(flights.definition.features)),
        logged(flights, OLD, ["dest"]),
    ):
        result = flights.snapshot()
    snapshot = content(flights, result)
    [pinned] = snapshot.requests  # OLD is no held-out day
    assert pinned.key == f"flights_requests/date={NIGHT}/part-0.parquet"
    assert pinned.version_id
    assert result.metrics["request_rows"] == 680
    assert result.facts["warnings"] == []


def test_requests_that_lack_a_feature_are_told_and_left_out(flights: FlightsLake) -> None:
    with logged(flights, NIGHT, ["carrier", "dest"]):
        result = flights.snapshot()
    assert content(flights, result).requests == ()
    assert any(
        f"flights_requests/date={NIGHT}" in warning and "'distance'" in warning
        for warning in result.facts["warnings"]
    )


@contextmanager
def logged(flights: FlightsLake, day: date, columns: list[str]) -> Iterator[None]:
    """Requests with these columns of a day's rows, for a while."""
    requests = Lake(flights.lake.bucket, "flights_requests")
    requests.write(day, flights.tables[day].select(columns))
    try:
        yield
    finally:
        requests.bucket.delete(requests.partition(day) + "part-0.parquet")
