"""Corruptions do what their strength says, to the same rows for the same seed."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from nightshift.data.lake import parquet_bytes
from nightshift.data.sources import flights
from tests.corruptions import kinds
from tests.corruptions.cases import CASES, Case
from tests.corruptions.kinds import Day, Spoilt

ROWS = 200
ANSWERS = (
    *("sex", "hearing_difficulty", "education", "ancestry", "relationship"),
    *("marital_status", "vision_difficulty"),
)
TODAY = date(2024, 1, 9)


def rows_of(day: str, first: int, rows: int = ROWS) -> pa.Table:
    """Columns of every shipped pipeline side by side, all different enough to be told apart."""
    at = np.arange(first, first + rows)
    hhmm = 100 * (at % 24) + 5 * (at % 12)
    return pa.table(
        {
            "id": [f"train/{n:05d}" for n in at],
            "date": [day] * rows,
            "carrier": np.array(["UA", "B6", "DL"])[at % 3],
            "origin": np.array(["EWR", "JFK", "LGA"])[at * 7 % 3],
            "dest": np.array(["ORD", "BOS", "LAX"])[at * 5 % 3],
            "month": np.full(rows, 1),
            "weekday": np.full(rows, first % 7),
            "sched_dep_time": hhmm,
            "sched_arr_time": (hhmm + 300) % 2400,
            "arr_time": (hhmm + 317) % 2400,
            "distance": 500.0 + at,
            "arr_delay": pa.array([int(n % 90) - 20 if n % 10 else None for n in at]),
            "flight": at + 1,
            "label": at % 10,
            "age": at % 90,
            "employed": at % 3 % 2,
            **{name: np.array(["yes", "no"])[at * n % 2] for n, name in enumerate(ANSWERS)},
            "race": np.array(["white", "black"])[at % 5 % 2],
            "image": [bytes([n % 251, n % 13]) * 8 for n in at],
        }
    )


DAY = Day(TODAY, rows_of("2024-01-09", 1000), rows_of("2024-01-08", 0))
LARGE = Day(TODAY, rows_of("2024-01-09", 5000, 5000), rows_of("2024-01-08", 0, 5000))
"""Of a thousandth of its rows a few are left to spoil."""
ALL = [(pipeline, case) for pipeline, cases in CASES.items() for case in cases]


def in_bytes(file: Spoilt) -> bytes | None:
    return parquet_bytes(file) if isinstance(file, pa.Table) else file


def spoilt(case: Case, seed: int = 1, day: Day = DAY) -> Spoilt:
    return case.spoil(day, case.strength, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("pipeline", "case"), ALL, ids=lambda v: v if isinstance(v, str) else v.kind
)
def test_every_case_changes_the_day_and_repeats_for_its_seed(pipeline: str, case: Case) -> None:
    first, second = spoilt(case, day=LARGE), spoilt(case, day=LARGE)
    assert not (isinstance(first, pa.Table) and first.equals(LARGE.rows))
    assert in_bytes(first) == in_bytes(second)


@pytest.mark.parametrize(
    ("spoil", "column", "changed"),
    [
        (kinds.nulls("carrier"), "carrier", 60),
        (kinds.lower_case("dest"), "dest", 60),
        (kinds.out_of_range("arr_delay", 9999), "arr_delay", 54),  # 180 of 200 have a value
        (kinds.inverted_pixels("image"), "image", 60),
        (kinds.misdated(), "date", 60),
    ],
)
def test_a_share_is_that_share_of_the_rows_with_a_value(
    spoil: kinds.Spoil, column: str, changed: int
) -> None:
    after = spoil(DAY, 0.3, np.random.default_rng(1))
    assert isinstance(after, pa.Table)
    pairs = zip(DAY.rows[column].to_pylist(), after[column].to_pylist(), strict=True)
    assert sum(before != now for before, now in pairs) == changed
    for name in set(after.column_names) - {column}:
        assert after[name].equals(DAY.rows[name])


def test_another_seed_takes_other_rows() -> None:
    case = Case("nulls", kinds.nulls("carrier"), 0.1)
    assert spoilt(case, 1) != spoilt(case, 2)


def test_a_stale_day_has_yesterday_s_rows_and_today_s_date() -> None:
    after = kinds.stale()(DAY, 1, np.random.default_rng(1))
    assert isinstance(after, pa.Table)
    assert set(after["date"].to_pylist()) == {"2024-01-09"}
    assert after.drop_columns(["date"]).equals(DAY.before.drop_columns(["date"]))


def test_a_real_day_s_types_survive_a_change_of_values() -> None:
    (_, before), (day, rows) = [pair for _, pair in zip(range(2), flights.days(), strict=False)]
    after = kinds.other_clock("sched_dep_time", "sched_arr_time")(
        Day(day, rows, before), 5, np.random.default_rng(1)
    )
    assert isinstance(after, pa.Table)
    assert after.schema == rows.schema
    assert after["sched_dep_time"][0].as_py() == (rows["sched_dep_time"][0].as_py() + 500) % 2400


def test_every_pipeline_has_a_dozen_kinds_of_its_own_names() -> None:
    for cases in CASES.values():
        names = [case.kind for case in cases]
        assert len(set(names)) == len(names) >= 12
