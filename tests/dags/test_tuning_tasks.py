"""The search that a night has before training, where the pipeline asks for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightshift_airflow.operators.step import HEAVY_POOL
from nightshift_airflow.retrain import retrain_dag
from tests.dags.test_compression_tasks import dag_with

TUNING = {"space": {"learning_rate": {"low": 0.0001, "high": 0.01, "log": True}}, "trials": 4}


def test_a_pipeline_without_tuning_has_no_such_task() -> None:
    dag = retrain_dag("flights")
    assert "tune" not in dag.task_ids
    assert set(dag.get_task("train").inputs) == {"snapshot"}


def test_the_search_waits_for_the_checks_and_training_for_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = dag_with(tmp_path, monkeypatch, tuning=TUNING)
    tune = dag.get_task("tune")
    assert tune.upstream_task_ids == {"snapshot", "statistics", "expectations"}
    assert tune.pool == HEAVY_POOL
    assert set(dag.get_task("train").inputs) == {"snapshot", "tune"}
    assert "tune" in dag.get_task("train").upstream_task_ids


def test_the_train_task_leads_to_its_recording() -> None:
    train = retrain_dag("flights").get_task("train")
    assert "TensorBoard" in {link.name for link in train.operator_extra_links}
