"""The shape that compression gives a night, and none where there are no targets."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk import DAG

from nightshift.definition.compression import Compression, Target
from nightshift.definition.load import load_pipeline
from nightshift_airflow.operators.step import HEAVY_POOL, references
from nightshift_airflow.operators.steps import QuantizeOperator
from nightshift_airflow.retrain import retrain_dag
from tests.dags.conftest import ROOT

COMPRESSION = {"targets": ["float16", "int8"], "edge": "int8"}


def dag_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **sections: Any) -> DAG:
    """The DAG of a pipeline like flights, with further sections."""
    folder = tmp_path / "pictures"
    shutil.copytree(ROOT / "include/pipelines/flights", folder)
    fields = yaml.safe_load((folder / "pipeline.yaml").read_text())
    fields = {**fields, **sections, "pipeline": "pictures"}
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(fields))
    monkeypatch.setenv("NIGHTSHIFT_PIPELINES", str(tmp_path))
    return retrain_dag("pictures")


def test_each_target_is_a_square_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantize = dag_with(tmp_path, monkeypatch, compression=COMPRESSION).get_task("quantize")
    assert quantize.is_mapped
    assert quantize.expand_input.value == {"target": ["float16", "int8"]}
    assert quantize.map_index_template == "{{ task.target }}"
    assert quantize.pool == HEAVY_POOL
    assert quantize.retries == 3


def test_the_float_model_waits_for_no_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = dag_with(tmp_path, monkeypatch, compression=COMPRESSION)
    ahead = dag.get_task("register").get_flat_relative_ids(upstream=True)
    assert not ahead & {"quantize", "evaluate_variants", "budgets"}
    assert dag.get_task("edge").upstream_task_ids == {"quantize", "budgets", "register"}


def test_where_the_variant_is_served_registration_waits_for_its_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = dag_with(tmp_path, monkeypatch, compression=COMPRESSION, release={"serve": "int8"})
    assert {"budgets", "quantize", "gate"} <= dag.get_task("register").upstream_task_ids


def test_without_targets_a_night_is_what_it_was() -> None:
    assert set(retrain_dag("flights").task_ids) == {
        *("snapshot", "statistics", "expectations", "train", "evaluate"),
        *("gate", "approve", "register", "card"),
    }


def test_a_target_brings_its_own_recipe_to_its_key() -> None:
    operator = QuantizeOperator(task_id="quantize", pipeline="flights", target="float16")
    compression = Compression(targets=(Target.FLOAT16,))
    definition = load_pipeline("flights").model_copy(update={"compression": compression})
    assert operator.own(definition)["recipe"]["target"] == "float16"
    assert operator.instance == "float16"


def test_what_mapped_tasks_returned_is_read_by_their_instance() -> None:
    ref = {"kind": "variant", "key": "k", "uri": "s3://b/k", "digest": "d"}
    found = references(
        {"snapshot": ref, "quantize": [{"instance": "int8", "artifact": {**ref, "key": "8"}}]}
    )
    assert {name: given.key for name, given in found.items()} == {
        "snapshot": "k",
        "quantize.int8": "8",
    }
