"""What a file's footer gives away before any value is read."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nightshift.data.columns import Column, Family
from nightshift.data.inspection import (
    Footer,
    check_columns,
    check_dates,
    likely_name,
    read_footer,
)
from nightshift.data.problems import Problem, Rule

DAY = date(2013, 8, 31)
TEXT = frozenset({Family.STRING})


def footer(tmp_path: Path, **columns: object) -> Footer:
    """The footer of a file with these columns, dated as its partition unless they say otherwise."""
    table = pa.table({"date": ["2013-08-31"] * 2, **columns})
    pq.write_table(table, tmp_path / "file.parquet")
    found = read_footer(tmp_path / "file.parquet", "s3://lake/file", DAY, "date")
    assert isinstance(found, Footer)
    return found


def test_rows_are_counted_and_types_known(tmp_path: Path) -> None:
    found = footer(tmp_path, dest=["ORD", "LAX"], distance=[1.0, 2.0])
    assert found.rows == 2
    assert found.families == {
        "date": Family.STRING,
        "dest": Family.STRING,
        "distance": Family.FLOAT,
    }


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty (0 bytes)"),
        (b"date,dest\n2013-08-31,ORD\n", "not Parquet"),
        (b"PAR1" + b"\x00" * 100, "cut off"),
    ],
)
def test_a_file_that_is_not_whole_parquet_is_told_as_what_it_is(
    tmp_path: Path, body: bytes, said: str
) -> None:
    path = tmp_path / "file.parquet"
    path.write_bytes(body)
    found = read_footer(path, "s3://lake/file", DAY, "date")
    assert isinstance(found, Problem)
    assert found.rule is Rule.UNREADABLE
    assert said in str(found)
    assert "s3://lake/file" in str(found)


@pytest.mark.parametrize(
    ("missing", "present", "likely"),
    [
        ("dest", ["destination"], "destination"),
        ("sched_dep_time", ["scheduledDepTime", "tail"], "scheduledDepTime"),
        ("dest", ["zzz"], "zzz"),  # one column went, one came
        ("dest", ["zzz", "yyy"], None),
    ],
)
def test_a_renamed_column_is_recognised(
    missing: str, present: list[str], likely: str | None
) -> None:
    assert likely_name(missing, present, only_new=True) == likely


def test_a_missing_column_names_its_likely_new_name(tmp_path: Path) -> None:
    found = footer(tmp_path, destination=["ORD", "LAX"], origin=["JFK", "JFK"])
    usual = {"date": "string", "dest": "string", "origin": "string"}
    [problem] = check_columns(found, [Column("dest", TEXT, "features")], usual)
    assert problem.rule is Rule.MISSING_COLUMN
    assert problem.column == "dest"
    assert "'destination' (string) may be its new name" in problem.text


def test_a_changed_type_names_both_types(tmp_path: Path) -> None:
    found = footer(tmp_path, dest=[1, 2])
    [problem] = check_columns(found, [Column("dest", TEXT, "features")], {})
    assert problem.rule is Rule.CHANGED_TYPE
    assert (problem.value, problem.limit) == ("int64", "string")


def test_a_column_of_nulls_without_a_type_is_told(tmp_path: Path) -> None:
    found = footer(tmp_path, dest=pa.nulls(2))
    [problem] = check_columns(found, [Column("dest", TEXT, "features")], {})
    assert "holds only nulls" in problem.text


def test_a_type_that_differs_from_the_other_files_is_told_even_where_any_would_do(
    tmp_path: Path,
) -> None:
    found = footer(tmp_path, flight=["12", "13"])
    anything = Column("flight", frozenset({Family.STRING, Family.INT}), "dataset.unique")
    [problem] = check_columns(found, [anything], {"flight": "int"})
    assert "expected int, as in other files" in problem.text


@pytest.mark.parametrize(
    ("dates", "rule"),
    [
        (["2013-08-31", "2013-09-01"], Rule.FUTURE_DATE),
        (["2013-08-30", "2013-08-31"], Rule.WRONG_DATE),
        (["2013-08-31", None], Rule.WRONG_DATE),
    ],
)
def test_every_row_is_dated_as_its_partition(
    tmp_path: Path, dates: list[str | None], rule: Rule
) -> None:
    problem = check_dates(footer(tmp_path, date=dates), "date")
    assert problem is not None
    assert problem.rule is rule
    assert problem.text.startswith("1 of 2 rows")


@pytest.mark.parametrize("dates", [["2013-08-31"] * 2, [DAY, DAY]])
def test_dates_may_be_text_or_days(tmp_path: Path, dates: list[object]) -> None:
    assert check_dates(footer(tmp_path, date=dates), "date") is None
