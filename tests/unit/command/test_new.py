"""``new`` writes a definition that is valid once its blanks are filled in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nightshift.command.app import command_line
from nightshift.definition.load import load_pipeline

APP = command_line()
RUNNER = CliRunner()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project: ``include/pipelines`` and ``dags``."""
    (tmp_path / "include/pipelines").mkdir(parents=True)
    (tmp_path / "dags").mkdir()
    monkeypatch.setenv("NIGHTSHIFT_PIPELINES", str(tmp_path / "include/pipelines"))
    return tmp_path


def test_it_writes_a_folder_and_a_dag_and_says_what_to_do(root: Path) -> None:
    result = RUNNER.invoke(APP, ["new", "churn"])
    assert result.exit_code == 0, result.output
    written = {path.name for path in (root / "include/pipelines/churn").iterdir()}
    assert written == {"pipeline.yaml", "model.py", "schema.pbtxt", "expectations.yaml"}
    assert 'retrain_dag("churn")' in (root / "dags/retrain_churn.py").read_text()
    assert "./nightshift check churn" in result.output


def test_no_placeholder_is_left(root: Path) -> None:
    RUNNER.invoke(APP, ["new", "churn"])
    for path in (root / "include/pipelines/churn").iterdir():
        assert "__NAME__" not in path.read_text()


def test_it_never_overwrites(root: Path) -> None:
    dag = root / "dags/retrain_churn.py"
    dag.write_text("mine")
    result = RUNNER.invoke(APP, ["new", "churn"])
    assert result.exit_code == 1
    assert dag.read_text() == "mine"
    assert not (root / "include/pipelines/churn").exists()


def test_check_lists_every_blank_with_its_line(root: Path) -> None:
    RUNNER.invoke(APP, ["new", "churn"])
    result = RUNNER.invoke(APP, ["check", "churn"])
    assert result.exit_code == 1
    places = re.findall(r"churn/(pipeline\.yaml|schema\.pbtxt), line \d+: .*BLANK", result.output)
    assert set(places) == {"pipeline.yaml", "schema.pbtxt"}


def test_with_the_blanks_filled_the_definition_is_valid(root: Path) -> None:
    RUNNER.invoke(APP, ["new", "churn"])
    file = root / "include/pipelines/churn/pipeline.yaml"
    file.write_text(fill(file.read_text()))
    definition = load_pipeline("churn")
    assert definition.label.column == "left"
    assert list(definition.features) == ["plan"]


def fill(text: str) -> str:
    """What a person would write into the blanks of pipeline.yaml."""
    words = {
        "description": "Who leaves next month.",
        "owner": "customers",
        "name": "customers",
        "column": "left",
    }
    for field, word in words.items():
        text = re.sub(rf"(?m)^(\s*{field}: )BLANK", rf"\g<1>{word}", text)
    return text.replace("  BLANK: string", "  plan: string")
