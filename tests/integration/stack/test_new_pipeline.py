"""A new pipeline, its blanks filled in as a person would, passes ``check``; a mistake does not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.command.test_new import fill

ROOT = Path(__file__).parents[3]


@pytest.fixture
def churn(tmp_path: Path) -> Path:
    pipelines = tmp_path / "include/pipelines"
    pipelines.mkdir(parents=True)
    (tmp_path / "dags").mkdir()
    assert nightshift(pipelines, "new", "churn").returncode == 0
    folder = pipelines / "churn"
    definition, schema = folder / "pipeline.yaml", folder / "schema.pbtxt"
    definition.write_text(fill(definition.read_text()))
    text = schema.read_text()
    schema.write_text(text.replace('"BLANK"', '"plan"', 1).replace('"BLANK"', '"left"', 1))
    return folder


def nightshift(pipelines: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "nightshift", *arguments],
        env={**os.environ, "NIGHTSHIFT_PIPELINES": str(pipelines)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_filled_in_it_passes(churn: Path) -> None:
    done = nightshift(churn.parent, "check", "churn")
    assert done.returncode == 0, done.stderr
    assert "churn: 1 features" in done.stdout


def test_all_mistakes_are_told_at_once_by_file(churn: Path) -> None:
    (churn / "model.py").write_text(
        "def build(features, parameters):\n    return features['plna']\n"
    )
    (churn / "expectations.yaml").write_text(
        "expectations:\n  - expect: expect_column_to_exsit\n    arguments: {column: plan}\n"
    )
    done = nightshift(churn.parent, "check", "churn")
    assert done.returncode == 1
    assert "churn/model.py, line 2: KeyError: 'plna'" in done.stderr
    assert "churn/expectations.yaml" in done.stderr
    assert "expect_column_to_exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_schema_without_a_feature_is_told(churn: Path) -> None:
    schema = churn / "schema.pbtxt"
    schema.write_text(schema.read_text().replace('"plan"', '"plna"'))
    done = nightshift(churn.parent, "check", "churn")
    assert done.returncode == 1
    assert "churn/schema.pbtxt: has no feature 'plan'" in done.stderr
