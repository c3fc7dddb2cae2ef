"""Nobody outside is told that MLflow is used here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from nightshift.runtimes import Runtime, python_of

INCLUDE = Path(__file__).parents[3] / "include"
_ASK = (
    "import nightshift.tracking.runs; import mlflow; from mlflow.telemetry import client, utils; "
    "print(utils.is_telemetry_disabled(), client.get_telemetry_client())"
)


@pytest.mark.parametrize("runtime", [Runtime.ML, Runtime.AIRFLOW])
def test_mlflows_client_keeps_quiet(runtime: Runtime) -> None:
    # No variable of a test or of CI: each of those switches it off by itself.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(INCLUDE)}
    command = [str(python_of(runtime)), "-c", _ASK]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True", "None"]
