"""A lake of years through every step, as processes: the real survey, the pipeline's own files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import pyarrow as pa

from nightshift.data.lake import Lake, parquet_bytes
from nightshift.data.pinned import Split
from nightshift.data.reader import read_snapshot
from nightshift.data.sources import employment
from nightshift.definition.load import load_pipeline
from nightshift.errors import ErrorKind, StepError
from nightshift.evaluation.result import Evaluation
from nightshift.steps.catalog import STEPS
from nightshift.steps.plan import plan_step
from nightshift.steps.run import execute
from tests.integration.employment.conftest import NIGHT
from tests.integration.step_night import StepNight


def test_a_night_of_the_real_survey_passes_without_one_warning(night: StepNight) -> None:
    failed = {step: result.error for step, result in night.results.items() if result.error}
    assert not failed
    assert night.results["statistics"].facts["warnings"] == []
    assert night.results["expectations"].facts["warnings"] == []
    assert night.results["evaluate"].metrics["auc"] > 0.88


def test_a_year_is_trained_on_and_the_next_is_held_out(night: StepNight) -> None:
    snapshot = read_snapshot(night.store, night.store.open(night.made("snapshot")))
    assert {f.date: (f.split, f.rows) for f in snapshot.files} == {
        date(2015, 12, 31): (Split.TRAIN, 68_785),
        NIGHT: (Split.HOLDOUT, 69_126),
    }
    assert night.results["snapshot"].metrics["days"] == 2


def test_groups_that_the_model_does_not_know_are_measured(night: StepNight) -> None:
    evaluate = night.store.open(night.made("evaluate"))
    found = Evaluation.model_validate_json(night.store.read(evaluate, "metrics.json"))
    rows = {(group.slice, group.value): group.rows for group in found.slices}
    assert rows["sex", "female"] + rows["sex", "male"] == 69_126
    assert rows["race", "black"] == 4_263
    assert not {"sex", "race"} & set(load_pipeline("employment").features)


def error_of(night: StepNight, day: date, nonce: str = "") -> StepError:
    """What the snapshot of another night says."""
    request = plan_step(STEPS["snapshot"], night.definition, day, {}, nonce=nonce)
    error = execute(request, night.store).error
    assert error is not None, "the snapshot took it"
    return error


def test_missing_years_are_one_problem_that_names_them(night: StepNight) -> None:
    error = error_of(night, date(2018, 12, 31))
    assert error.kind is ErrorKind.BAD_DATA
    assert "2 years are missing, 2017-12-31 to 2018-12-31" in error.message


def test_a_night_that_ends_no_year_is_told_the_one_that_does(night: StepNight) -> None:
    error = error_of(night, date(2016, 6, 30))
    assert error.kind is ErrorKind.BAD_DEFINITION
    assert "ends no year" in error.message
    assert "2016-12-31" in error.message


@contextmanager
def written(night: StepNight, day: date, table: pa.Table) -> Iterator[None]:
    """Have another table as a partition's file for a while."""
    lake = Lake(night.s3.lake, "employment")
    key = lake.partition(day) + "part-0.parquet"
    before = lake.bucket.get(key).body if day == NIGHT else None
    lake.bucket.put(key, parquet_bytes(table))
    try:
        yield
    finally:
        lake.bucket.put(key, before) if before else lake.bucket.delete(key)


def test_a_partition_within_a_year_is_a_problem_and_not_read(night: StepNight) -> None:
    stray = date(2016, 6, 30)
    with written(night, stray, pa.table({"date": [str(stray)] * 70_000})):
        error = error_of(night, NIGHT, nonce="stray")
    assert "date=2016-06-30/: the partition's date ends no year" in error.message
    assert "its rows belong to 2016-12-31" in error.message


def test_labels_of_other_people_are_told_by_the_expectations(night: StepNight) -> None:
    table = dict(employment.days())[NIGHT]
    place = table.schema.get_field_index("employed")
    # As if the labels' file had one row less than the answers': everyone has the next one's.
    shifted = pa.concat_arrays([table["employed"].combine_chunks()[1:], pa.array([0])])
    good = dict(night.results)
    try:
        with written(night, NIGHT, table.set_column(place, "employed", shifted)):
            night.run("snapshot", nonce="shifted")
            result = night.run("expectations")
    finally:
        night.results = good
    assert result.error is not None
    assert "child_at_work" in result.error.message
    assert f"employment/date={NIGHT}/part-0.parquet" in result.error.message
