"""The shape of a night in Airflow."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG

from nightshift.definition.folders import pipeline_names
from nightshift.definition.load import load_pipeline
from nightshift_airflow.operators.step import HEAVY_POOL, StepOperator
from nightshift_airflow.override import override_dag
from nightshift_airflow.release import release_dag
from nightshift_airflow.retrain import retrain_dag
from tests.dags.conftest import ROOT


@pytest.fixture(scope="module")
def retrain() -> DAG:
    return retrain_dag("flights")


def test_nothing_trains_before_both_validations(retrain: DAG) -> None:
    assert {"statistics", "expectations"} <= retrain.get_task("train").upstream_task_ids
    assert retrain.get_task("statistics").upstream_task_ids == {"snapshot"}


def test_nothing_is_registered_before_the_gate(retrain: DAG) -> None:
    assert "approve" in retrain.get_task("register").upstream_task_ids
    assert "gate" in retrain.get_task("approve").upstream_task_ids
    assert retrain.get_task("gate").upstream_task_ids >= {"evaluate"}


def test_nights_of_one_pipeline_do_not_overlap(retrain: DAG) -> None:
    assert retrain.max_active_runs == 1
    assert retrain.catchup is False


def test_the_schedule_gives_data_intervals(retrain: DAG) -> None:
    assert type(retrain.timetable).__name__ == "CronDataIntervalTimetable"
    assert str(retrain.timetable.timezone) == "America/New_York"


def test_heavy_steps_share_a_pool(retrain: DAG) -> None:
    heavy = {t.task_id for t in retrain.tasks if t.pool == HEAVY_POOL}
    assert heavy == {"statistics", "expectations", "train", "evaluate"}


def test_every_task_has_links_and_retries(retrain: DAG) -> None:
    for task in retrain.tasks:
        links = {link.name for link in task.operator_extra_links} - {"TensorBoard", "Model card"}
        assert links == {"Report", "Artifact", "MLflow run"}
        assert task.retries == 3
        assert task.retry_exponential_backoff


def test_the_form_is_typed_and_described(retrain: DAG) -> None:
    for name in ("night", "window", "force", "strategy", "workers", "epochs", "early_stopping"):
        param = retrain.params.get_param(name)
        assert param.description
        assert param.schema["type"]


def test_steps_take_their_references_from_the_tasks_before(retrain: DAG) -> None:
    evaluate = retrain.get_task("evaluate")
    assert isinstance(evaluate, StepOperator)
    assert set(evaluate.inputs) == set(evaluate.spec.inputs)


def test_a_release_is_started_by_the_registered_model() -> None:
    release = release_dag("flights")
    assert [asset.name for asset in release.timetable.asset_condition.objects] == [
        "flights_registered"
    ]
    assert release.task_ids == ["request", "watch", "answer"]


def test_every_registered_version_gets_its_card(retrain: DAG) -> None:
    assert retrain.get_task("card").upstream_task_ids == {"register"}
    assert override_dag("flights").get_task("card").upstream_task_ids >= {"register"}


def test_a_card_waits_for_what_is_known_of_the_variants() -> None:
    card = retrain_dag("fashion").get_task("card")
    assert card.upstream_task_ids == {"register", "budgets"}


def test_a_run_without_its_registration_is_not_called_a_success(retrain: DAG) -> None:
    # A run ends as its last tasks do: a card that ran whatever happened would hide a failed gate.
    assert retrain.get_task("card").trigger_rule == "all_success"


@pytest.mark.parametrize("pipeline", pipeline_names())
def test_every_shipped_pipeline_has_a_night_and_a_release(pipeline: str) -> None:
    night, release = retrain_dag(pipeline), release_dag(pipeline)
    assert {"snapshot", "statistics", "expectations", "train", "gate"} <= set(night.task_ids)
    assert night.timetable.expression == load_pipeline(pipeline).schedule.cron
    assert [asset.name for asset in release.timetable.asset_condition.objects] == [
        f"{pipeline}_registered"
    ]
    assert (ROOT / "dags" / f"retrain_{pipeline}.py").is_file()
