"""The newest day is held to what is usual in its own window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import jensenshannon

from nightshift.data.pinned import PinnedFile, Split
from nightshift.validation.day_sample import DaySample
from nightshift.validation.findings import Finding, Severity
from nightshift.validation.repeats import Repeats
from nightshift.validation.usual import FEWEST_DAYS, associations, judge_newest, spread_distances

LAST = date(2013, 8, 31)
DAYS = 20
ROWS = 600

Rows = dict[str, np.ndarray]


def pin(ago: int) -> PinnedFile:
    day = LAST - timedelta(ago)
    key = f"shop/date={day}/part-0.parquet"
    return PinnedFile(
        date=day, split=Split.TRAIN, key=key, version_id=None, sha256="", size=1, rows=1
    )


def a_day(ago: int) -> Rows:
    """A shop's day: prices follow from the article, sold from neither."""
    rng = np.random.default_rng(ago)
    article = rng.integers(0, 5, ROWS)
    return {
        "article": np.array(["hat", "coat", "shoe", "scarf", "glove"])[article],
        "price": 10.0 * (1 + article) + rng.normal(0, 1, ROWS),
        "sold": rng.integers(0, 2, ROWS),
    }


def said(change: Callable[[Rows], Rows] = lambda rows: rows, days: int = DAYS) -> list[Finding]:
    """What is said of days of which the newest is changed."""
    sample = DaySample(days)
    for ago in reversed(range(days)):
        rows = a_day(ago)
        sample.add(pin(ago), pa.table(rows if ago else change(rows)))
    return judge_newest(sample, "sold").findings


def pictures(ago: int, labels: Callable[[np.ndarray], np.ndarray] = lambda labels: labels) -> Rows:
    """A day of pictures of three kinds, each of a brightness of its own."""
    rng = np.random.default_rng(ago)
    kind = rng.integers(0, 3, ROWS)
    pixels = rng.integers(0, 40, (ROWS, 16)) + 70 * kind[:, None]
    images = np.array([bytes(row.tolist()) for row in pixels], object)
    return {"image": images, "kind": labels(kind)}


def said_of_pictures(labels: Callable[[np.ndarray], np.ndarray]) -> list[Finding]:
    """What is said of days of pictures of which the newest has other labels."""
    sample = DaySample(DAYS)
    for ago in reversed(range(DAYS)):
        sample.add(pin(ago), pa.table(pictures(ago) if ago else pictures(ago, labels)))
    return judge_newest(sample, "kind").findings


def test_pictures_of_a_usual_day_give_nothing() -> None:
    assert said_of_pictures(lambda labels: labels) == []


def test_classes_that_are_numbered_anew_stop_the_night() -> None:
    found = {f.column: f for f in said_of_pictures(lambda labels: (labels + 1) % 3)}
    finding = found["kind, image brightness"]
    assert (finding.rule, finding.severity) == ("usual looks", Severity.ERROR)
    assert "labels of other images, or numbered anew?" in finding.text


def test_labels_of_other_pictures_are_found() -> None:
    found = said_of_pictures(lambda labels: np.random.default_rng(1).permutation(labels))
    assert ("kind, image brightness", "usual looks") in {(f.column, f.rule) for f in found}


def test_a_usual_day_gives_nothing() -> None:
    assert said() == []


def test_another_unit_stops_and_names_column_day_file_value_and_limit() -> None:
    [finding] = said(lambda rows: {**rows, "price": rows["price"] * 1.609})
    assert finding.severity is Severity.ERROR
    assert (finding.column, finding.rule) == ("price", "usual spread")
    assert (finding.where, finding.file) == ("2013-08-31", pin(0).key)
    assert float(finding.value) > float(finding.limit)


def test_a_fifth_of_a_column_stuck_is_a_warning() -> None:
    def stuck(rows: Rows) -> Rows:
        return {**rows, "article": np.where(np.arange(ROWS) % 4 == 0, "hat", rows["article"])}

    severities = {f.column: f.severity for f in said(stuck) if f.rule == "usual spread"}
    assert severities == {"article": Severity.WARNING}


def test_values_in_other_rows_are_found_though_each_column_alone_is_as_usual() -> None:
    [finding] = said(lambda rows: {**rows, "price": np.roll(rows["price"], 7)})
    assert (finding.column, finding.rule) == ("article, price", "usual association")
    assert "less of each other" in finding.text


def test_a_feature_made_from_the_label_is_found() -> None:
    findings = said(
        lambda rows: {**rows, "price": np.sort(rows["price"])[np.argsort(np.argsort(rows["sold"]))]}
    )
    assert any(f.column == "price, sold" and "more of each other" in f.text for f in findings)


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_far_fewer_or_more_rows_than_ever_are_a_warning(share: float) -> None:
    at: Any = np.arange(round(share * ROWS)) % ROWS
    [finding] = said(lambda rows: {name: values[at] for name, values in rows.items()})
    assert finding.rule == "rows per day"
    assert f"{round(share * ROWS):,}" in finding.text


def test_a_window_of_few_days_cannot_say_what_is_usual() -> None:
    assert said(lambda rows: {**rows, "price": rows["price"] * 9}, days=FEWEST_DAYS) == []


@pytest.mark.parametrize("days", [FEWEST_DAYS, 28])
def test_columns_of_the_calendar_have_no_distance_and_alarm_nobody(days: int) -> None:
    sample = DaySample(days)
    for ago in reversed(range(days)):
        rows = a_day(ago) | {
            "weekday": np.full(ROWS, (LAST - timedelta(ago)).weekday()),
            "month": np.full(ROWS, 3 if ago else 4),
            "year": np.full(ROWS, 2013),
        }
        sample.add(pin(ago), pa.table(rows))
    unusual = judge_newest(sample, "sold")
    assert unusual.calendar == {"weekday", "month"}
    assert unusual.findings == []
    assert not unusual.calendar & unusual.distances.keys()


def test_a_constant_column_that_is_empty_at_last_is_no_calendar_s() -> None:
    sample = DaySample(DAYS)
    for ago in reversed(range(DAYS)):
        rows = a_day(ago) | {"store": np.full(ROWS, 7.0 if ago else np.nan)}
        sample.add(pin(ago), pa.table(rows))
    unusual = judge_newest(sample, "sold")
    assert unusual.calendar == frozenset()
    assert "store" in {finding.column for finding in unusual.findings}


def test_a_new_day_with_an_empty_column_is_found() -> None:
    findings = said(lambda rows: {**rows, "price": np.full(ROWS, np.nan)})
    assert any(f.column == "price" and f.severity is Severity.ERROR for f in findings)


def test_images_are_seen_by_brightness_and_roughness() -> None:
    def pictures(ago: int, flip: int) -> pa.Table:
        pixels = np.random.default_rng(ago).integers(0, 60, (50, 64)).astype(np.uint8)
        return pa.table({"image": [(row ^ flip).tobytes() for row in pixels], "sold": [0, 1] * 25})

    sample = DaySample(DAYS)
    for ago in reversed(range(DAYS)):
        sample.add(pin(ago), pictures(ago, 0 if ago else 255))
    columns = {f.column for f in judge_newest(sample, "sold").findings if f.rule == "usual spread"}
    assert columns == {"image brightness"}


@given(hnp.arrays(np.float64, (9, 6), elements=st.integers(0, 50)))
def test_the_distance_is_scipy_s(counts: np.ndarray) -> None:
    counts[:, 0] += 1  # no day is empty
    for day in range(9):
        others = counts[[d for d in range(8) if d != day]].sum(axis=0)
        expected = jensenshannon(counts[day], others, base=2) ** 2
        assert spread_distances(counts)[day] == pytest.approx(expected, abs=1e-9)


@given(hnp.arrays(np.float64, (2, 4, 4), elements=st.integers(1, 50)))
def test_association_is_a_share_and_symmetric(counts: np.ndarray) -> None:
    found = associations(counts)
    assert np.all((found > -1e-9) & (found < 1 + 1e-9))
    assert associations(counts.transpose(0, 2, 1)) == pytest.approx(found)


def test_association_of_a_column_with_itself_is_one() -> None:
    assert associations(np.diag([3.0, 4.0, 5.0])[None]) == pytest.approx(1.0)


def repeated(newest: Rows) -> list[Finding]:
    """What is said of ten days of which the last has these rows."""
    repeats = Repeats()
    for ago in reversed(range(1, 10)):
        repeats.add(pin(ago), pa.table({**a_day(ago), "weekday": np.full(ROWS, ago)}))
    repeats.add(pin(0), pa.table({**newest, "weekday": np.zeros(len(newest["sold"]), int)}))
    return list(repeats.findings())


def test_a_new_day_repeats_nothing() -> None:
    assert repeated(a_day(0)) == []


def test_yesterday_again_under_a_new_weekday_and_in_another_order_is_an_error() -> None:
    order = np.random.default_rng(0).permutation(ROWS)
    [finding] = repeated({name: values[order] for name, values in a_day(1).items()})
    assert finding.severity is Severity.ERROR
    assert finding.file == pin(0).key
    assert "100.0% are those of 2013-08-30" in finding.text


def test_rows_of_one_coarse_column_recur_without_an_alarm() -> None:
    assert repeated({"sold": a_day(0)["sold"]}) == []
