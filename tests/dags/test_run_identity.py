"""A run's night is taken once, from the form or from the schedule."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from nightshift.definition import load_pipeline
from nightshift.errors import BadDefinitionError
from nightshift_airflow.run_identity import RunIdentity


def identity(start: datetime | None = None, **params: Any) -> RunIdentity:
    run = SimpleNamespace(dag_id="retrain_flights", run_id="manual__1")
    context: Any = {"params": params, "dag_run": run, "data_interval_start": start}
    return RunIdentity.of(context, load_pipeline("flights"))


def test_the_form_wins() -> None:
    start = datetime(2013, 6, 1, 6, tzinfo=UTC)
    assert identity(start, night="2013-08-31").night == date(2013, 8, 31)


def test_a_scheduled_night_is_the_intervals_day_in_the_pipelines_time_zone() -> None:
    # 2013-09-01T03:00Z is still the evening of 31 August in New York.
    assert identity(datetime(2013, 9, 1, 3, tzinfo=UTC)).night == date(2013, 8, 31)


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
    form = {name: None for name in ("strategy", "workers", "epochs", "early_stopping", "seed")}
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
