"""TFMA's second measurement, where the pipeline asks for one: beside the gate, before register."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightshift_airflow.operators.step import HEAVY_POOL
from nightshift_airflow.retrain import retrain_dag
from tests.dags.test_compression_tasks import dag_with


def test_a_pipeline_without_an_audit_has_no_such_task() -> None:
    assert "audit" not in retrain_dag("flights").task_ids


def test_nothing_is_registered_before_the_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = dag_with(tmp_path, monkeypatch, evaluation={"audit": True})
    audit = dag.get_task("audit")
    assert audit.upstream_task_ids == {"evaluate"}
    assert audit.downstream_task_ids == {"register"}
    assert audit.pool == HEAVY_POOL
