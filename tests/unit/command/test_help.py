"""The command teaches: every level has help, and every mistake ends in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from nightshift.command.app import command_line

APP = command_line()

COMMANDS = sorted(typer.main.get_command(APP).commands)  # type: ignore[attr-defined]
RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path))


def test_the_command_has_what_the_readme_promises() -> None:
    promised = {"demo", "test", "up", "down", "status", "logs", "new", "check", "retrain"}
    assert promised | {"rollback", "lineage", "reproduce"} <= set(COMMANDS)


def test_without_arguments_it_says_where_to_begin() -> None:
    assert "./nightshift demo" in RUNNER.invoke(APP, []).output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = RUNNER.invoke(APP, [name, "--help"])
    assert result.exit_code == 0
    assert len(result.output.split()) > 15


@pytest.mark.parametrize(
    "name",
    sorted(
        {"up", "logs", "retrain", "rollback", "seed", "new", "check", "lineage", "reproduce"}
        | {"drain", "undrain"}
    ),
)
def test_commands_with_arguments_show_examples(name: str) -> None:
    assert f"./nightshift {name}" in RUNNER.invoke(APP, [name, "--help"]).output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status"], "The stack is not running. Start it: ./nightshift up"),
        (["logs", "nonsense"], "There is no process 'nonsense'. There are: seaweedfs"),
        (["logs", "agent"], "'agent' has written nothing yet"),
        (["retrain", "nonsense", "--night", "2013-08-31"], "There is no pipeline 'nonsense'"),
        (
            ["seed", "nonsense"],
            "There is no data 'nonsense'. There are: employment, fashion, flights",
        ),
        (["seed", "flights"], "The stack is not running"),
        (["rollback", "nonsense"], "There is no pipeline 'nonsense'"),
        (["lineage", "nonsense"], "There is no pipeline 'nonsense'"),
        (["lineage", "flights@seven"], "'flights@seven' is no version; one looks like flights@7"),
        (["check", "nonsense"], "nonsense/pipeline.yaml is missing"),
        (["schema", "infer", "nonsense"], "nonsense/pipeline.yaml is missing"),
        (["new", "Not-A-Name"], "cannot be a pipeline's name"),
        (["build", "nonsense"], "There is no runtime nonsense"),
    ],
)
def test_a_foreseen_mistake_is_one_line_and_exit_code_1(arguments: list[str], words: str) -> None:
    result = RUNNER.invoke(APP, arguments)
    assert result.exit_code == 1
    assert words in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_debug_shows_the_trace() -> None:
    result = RUNNER.invoke(APP, ["--debug", "status"])
    assert type(result.exception).__name__ == "UnavailableError"


def test_a_night_that_is_no_date_is_refused() -> None:
    result = RUNNER.invoke(APP, ["retrain", "flights", "--night", "31.8.2013"])
    assert result.exit_code == 2
    assert "--night" in result.output
