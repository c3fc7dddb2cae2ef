"""The real survey as the lake gets it."""

from __future__ import annotations

import hashlib
import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nightshift.data.sources import employment
from nightshift.data.sources.survey_codes import QUESTIONS
from nightshift.data.window import Days
from nightshift.definition.load import load_pipeline
from nightshift.errors import BadDataError, UnavailableError


@pytest.fixture(scope="module")
def days() -> dict[date, pa.Table]:
    return dict(employment.days())


def test_everyone_is_there_once_in_the_year_that_they_were_asked(
    days: dict[date, pa.Table],
) -> None:
    assert {day.isoformat(): table.num_rows for day, table in days.items()} == {
        "2015-12-31": 68_785,
        "2016-12-31": 69_126,
        "2017-12-31": 69_635,
        "2018-12-31": 70_131,
    }
    ids = [i for table in days.values() for i in table["id"].to_pylist()]
    assert ids == list(range(277_677))
    for day, table in days.items():
        assert table["date"].unique().to_pylist() == [day.isoformat()]


def test_the_last_years_are_three_nights(days: dict[date, pa.Table]) -> None:
    definition = load_pipeline("employment")
    _, *nights = days
    for number, night in enumerate(nights, 1):
        window = Days.of(definition.window, night, definition.dataset.partitions)
        assert list(window) == list(days)[: number + 1]
        assert [day for day in window if day >= window.holdout] == [night]


def test_no_prediction_of_the_package_reaches_the_lake(days: dict[date, pa.Table]) -> None:
    expected = {"id", "date", "age", "employed", *(q.name for q in QUESTIONS.values())}
    for table in days.values():
        assert set(table.column_names) == expected


def test_answers_are_words_and_none_is_empty(days: dict[date, pa.Table]) -> None:
    people = pa.concat_tables(days.values())
    assert {str(people.schema.field(name).type) for name in ("id", "age", "employed")} == {"int64"}
    for question in QUESTIONS.values():
        column = people[question.name]
        assert column.null_count == 0
        assert set(column.unique().to_pylist()) == set(question.meanings.values())


@pytest.mark.parametrize(
    ("column", "word", "below"),
    [
        ("education", "under 3 years", 3),
        ("moved_last_year", "under 1 year", 1),
        ("military_service", "under 17 years", 17),
        ("cognitive_difficulty", "under 5 years", 5),
    ],
)
def test_a_question_is_not_asked_below_the_age_that_its_word_names(
    days: dict[date, pa.Table], column: str, word: str, below: int
) -> None:
    for table in days.values():
        assert pc.equal(table[column], word).equals(pc.less(table["age"], below))


def test_labels_are_those_of_the_same_people(days: dict[date, pa.Table]) -> None:
    people = pa.concat_tables(days.values())
    at_work = people.filter(pc.equal(people["employed"], 1))
    assert at_work.num_rows == 139_199
    assert pc.min(at_work["age"]).as_py() == 16
    # Nobody in a nursing home or a prison, and no soldier, is a civilian at work.
    assert "institution" not in at_work["relationship"].unique().to_pylist()
    assert "now" not in at_work["military_service"].unique().to_pylist()


def test_another_wheel_than_the_published_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTSHIFT_RUNTIMES", str(tmp_path))
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / employment.WHEEL).write_bytes(b"another")
    with pytest.raises(BadDataError, match=r"nannyml.*: SHA-256 is .*, expected cf5f"):
        employment.wheel()


def test_a_wheel_that_is_here_needs_no_network(
    days: dict[date, pa.Table], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = employment.wheel()
    monkeypatch.setenv("NIGHTSHIFT_RUNTIMES", str(tmp_path))  # and no runtime that has pip
    (tmp_path / "downloads").mkdir()
    shutil.copy(kept, tmp_path / "downloads")
    assert employment.wheel().is_relative_to(tmp_path)
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == employment.SHA256


def test_without_an_index_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tools" / "bin").mkdir(parents=True)
    python = tmp_path / "tools" / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setenv("NIGHTSHIFT_RUNTIMES", str(tmp_path))
    with pytest.raises(
        UnavailableError, match=r"pip could not download.*put its file at"
    ) as caught:
        employment.wheel()
    assert "\n" not in caught.value.message
    assert list((tmp_path / "downloads").iterdir()) == []
