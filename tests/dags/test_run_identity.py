"""A run's night is taken once, from the form or from the schedule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable

from nightshift.definition.load import load_pipeline
from nightshift.definition.model import PipelineDefinition
from nightshift.errors import BadDefinitionError
from nightshift_airflow.dag_parts import end_of, start_of
from nightshift_airflow.run_identity import RunIdentity


def identity(end: datetime | None = None, pipeline: str = "flights", **params: Any) -> RunIdentity:
    run = SimpleNamespace(dag_id=f"retrain_{pipeline}", run_id="manual__1")
    context: Any = {"params": params, "dag_run": run, "data_interval_end": end}
    return RunIdentity.of(context, load_pipeline(pipeline))


def test_the_form_wins() -> None:
    end = datetime(2013, 6, 1, 6, tzinfo=UTC)
    assert identity(end, night="2013-08-31").night == date(2013, 8, 31)


def test_a_scheduled_night_is_the_intervals_last_day_in_the_pipelines_time_zone() -> None:
    # 2013-09-02T03:00Z is still the evening of 1 September in New York.
    assert identity(datetime(2013, 9, 2, 3, tzinfo=UTC)).night == date(2013, 8, 31)


@pytest.mark.parametrize(
    ("pipeline", "first", "last", "count"),
    [
        ("flights", date(2013, 4, 1), date(2013, 12, 31), 275),
        ("fashion", date(2024, 1, 11), date(2024, 3, 1), 51),
        ("employment", date(2016, 12, 31), date(2018, 12, 31), 3),
    ],
)
def test_the_shipped_schedules_have_the_nights_that_the_lake_has(
    pipeline: str, first: date, last: date, count: int
) -> None:
    nights = [identity(end, pipeline).night for end in scheduled(load_pipeline(pipeline))]
    assert (nights[0], nights[-1], len(nights)) == (first, last, count)


def scheduled(definition: PipelineDefinition) -> Iterator[datetime]:
    """The end of every data interval that the scheduler makes, as it computes them."""
    schedule = definition.schedule
    assert schedule.cron is not None
    timetable = CronDataIntervalTimetable(schedule.cron, timezone=schedule.timezone)
    earliest, latest = start_of(definition), end_of(definition)
    assert latest is not None
    bounds = TimeRestriction(pendulum.instance(earliest), pendulum.instance(latest), catchup=True)
    run = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=bounds)
    while run:
        yield run.data_interval.end
        run = timetable.next_dagrun_info(
            last_automated_data_interval=run.data_interval, restriction=bounds
        )


def test_neither_form_nor_schedule_is_an_error() -> None:
    with pytest.raises(BadDefinitionError, match="fill in 'night'"):
        identity()


def test_a_night_that_is_no_date_is_an_error() -> None:
    with pytest.raises(BadDefinitionError, match="2013-13-45"):
        identity(night="2013-13-45")


def test_force_makes_new_artifacts_for_this_run_alone() -> None:
    assert identity(night="2013-08-31", force=True).nonce == "manual__1"
    assert identity(night="2013-08-31").nonce == ""


def test_a_window_overrides_the_definition_and_keeps_the_holdout() -> None:
    assert identity(night="2013-08-31", window=30).definition.window.days == 30
    with pytest.raises(BadDefinitionError, match="more than the holdout's 7 days"):
        identity(night="2013-08-31", window=7)


def test_the_form_overrides_how_the_model_is_fitted() -> None:
    training = identity(
        night="2013-08-31",
        strategy="multi_worker",
        workers=2,
        epochs=7,
        precision="mixed_bfloat16",
        early_stopping=2,
        learning_rate=0.01,
    ).definition.training
    assert (training.strategy, training.workers, training.epochs) == ("multi_worker", 2, 7)
    assert (training.precision, training.learning_rate) == ("mixed_bfloat16", 0.01)
    assert training.early_stopping is not None
    assert (training.early_stopping.patience, training.early_stopping.monitor) == (2, "loss")


def test_an_empty_form_trains_as_the_definition_says() -> None:
    form: dict[str, Any] = {
        name: None for name in ("strategy", "workers", "epochs", "early_stopping", "seed")
    }
    assert identity(night="2013-08-31", **form).definition == load_pipeline("flights")


def test_a_strategy_brings_the_roles_that_it_needs() -> None:
    served = identity(night="2013-08-31", strategy="parameter_server", workers=2)
    assert served.definition.training.parameter_servers == 1
    assert identity(night="2013-08-31", early_stopping=0).definition.training.early_stopping is None


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"workers": 3}, r"strategy 'single' has one worker \(given: 3\)"),
        ({"strategy": "many"}, r"strategy: .*'single', 'mirrored'.*\(given: 'many'\)"),
        ({"epochs": 0}, r"epochs: .*greater than or equal to 1 \(given: 0\)"),
        ({"strategy": "mirrored", "workers": 2, "cluster": "ray"}, "cluster 'ray' runs strategy"),
        ({"strategy": "mirrored", "workers": 9, "global_batch_size": 8}, "without a row"),
    ],
)
def test_values_that_do_not_fit_are_named(form: dict[str, Any], words: str) -> None:
    with pytest.raises(BadDefinitionError, match=words):
        identity(night="2013-08-31", **form)
