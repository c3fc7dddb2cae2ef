"""The real flights as the lake gets them."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from nightshift.data.sources import flights


@pytest.fixture(scope="module")
def days() -> dict[date, pa.Table]:
    return dict(flights.days())


def test_every_flight_of_2013_is_there_once(days: dict[date, pa.Table]) -> None:
    assert len(days) == 365
    assert sum(table.num_rows for table in days.values()) == 336_776


def test_a_day_holds_its_own_rows_with_the_types_that_the_definition_names(
    days: dict[date, pa.Table],
) -> None:
    table = days[date(2013, 8, 31)]
    assert table["date"].unique().to_pylist() == ["2013-08-31"]
    assert table["weekday"].unique().to_pylist() == [5]
    types = {f.name: str(f.type) for f in table.schema}
    assert types["distance"] == "double"
    assert types["arr_delay"] == types["sched_dep_time"] == "int64"
    assert types["dest"] == "string"


def test_a_cancelled_flight_has_no_delay_and_an_unknown_tail_number_is_null(
    days: dict[date, pa.Table],
) -> None:
    blizzard = days[date(2013, 2, 9)]
    assert blizzard["arr_delay"].null_count == 393
    assert blizzard["tailnum"].null_count > 0
    assert "" not in blizzard["tailnum"].to_pylist()
