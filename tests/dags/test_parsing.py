"""What the scheduler does to a DAG file: parse it fast, import nothing heavy, survive a bad one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.dags.conftest import ROOT

HEAVY = (
    "tensorflow",
    "tf_keras",
    "tensorflow_data_validation",
    "great_expectations",
    "pandas",
    "pyarrow",
    "mlflow",
    "boto3",
)


def python(script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}/include:{ROOT}/plugins", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("file", sorted((ROOT / "dags").glob("*.py")), ids=lambda p: p.name)
def test_parsing_imports_nothing_heavy(file: Path) -> None:
    loaded = python(
        f"""
        import json, runpy, sys
        import airflow.sdk
        runpy.run_path({str(file)!r})
        print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))
        """
    )
    assert json.loads(loaded) == []


def test_a_broken_pipeline_breaks_its_own_dag_alone(tmp_path: Path) -> None:
    import shutil

    pipelines, dags = tmp_path / "pipelines", tmp_path / "dags"
    shutil.copytree(ROOT / "include/pipelines/flights", pipelines / "flights")
    shutil.copytree(ROOT / "include/pipelines/flights", pipelines / "broken")
    dags.mkdir()
    source = (ROOT / "dags/retrain_flights.py").read_text()
    (dags / "retrain_flights.py").write_text(source)
    (dags / "retrain_broken.py").write_text(source.replace("flights", "broken"))
    found = python(
        f"""
        import json
        from airflow.dag_processing.dagbag import DagBag
        bag = DagBag({str(dags)!r})
        errors = {{k.split("/")[-1]: v for k, v in bag.import_errors.items()}}
        print(json.dumps([sorted(bag.dags), errors]))
        """,
        NIGHTSHIFT_PIPELINES=str(pipelines),
    )
    ids, errors = json.loads(found)
    assert ids == ["override_flights", "release_flights", "retrain_flights"]
    assert list(errors) == ["retrain_broken.py"]
    assert "broken/pipeline.yaml: pipeline: is 'flights', expected" in errors["retrain_broken.py"]


def test_the_plugin_loader_stays_out_of_our_package() -> None:
    names = python(
        """
        import json, sys
        from airflow import plugins_manager
        plugins = plugins_manager._get_plugins()[0]
        import mlflow
        print(json.dumps([[p.name for p in plugins if p.name == "nightshift"], mlflow.__file__,
                          "nightshift_airflow" in sys.modules, "storage" in sys.modules]))
        """
    )
    plugins, mlflow_file, package, bare = json.loads(names)
    assert plugins == ["nightshift"]
    assert "site-packages" in mlflow_file
    assert package and not bare
