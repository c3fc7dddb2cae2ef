"""``test`` runs what it says, in a clean environment, and a red check is never hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightshift.command import testing
from nightshift.command.testing import Check, Outcome, checks
from nightshift.stack.settings import StackSettings

UNIT = Check("unit", "ml", "pytest", ("tests/unit",))


def test_everything_is_checked() -> None:
    assert [check.name for check in checks(None)] == [
        "style",
        "format",
        "types",
        "plugin types",
        "unit",
        "dags",
        "integration",
    ]


def test_only_servers_are_slow() -> None:
    assert [check.name for check in checks(None) if check.slow] == ["integration"]


def test_a_keyword_chooses_tests_and_skips_style() -> None:
    assert [check.name for check in checks("rollback")] == ["unit", "dags", "integration"]
    assert all(check.arguments[-2:] == ("-k", "rollback") for check in checks("rollback"))


@pytest.mark.parametrize(
    ("code", "keyword", "red"),
    [(0, None, False), (1, None, True), (5, None, True), (5, "x", False), (2, "x", True)],
)
def test_what_counts_as_red(code: int, keyword: str | None, red: bool) -> None:
    assert testing._is_red(Outcome(UNIT, code, 1.0, ""), keyword) is red


def test_a_checks_own_environment_has_nothing_of_this_shell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "NIGHTSHIFT_HOME", "AIRFLOW_HOME", "PYTHONHOME"):
        monkeypatch.setenv(name, "from the shell")
    environment = testing._environment(StackSettings(tmp_path), "ml")
    assert "from the shell" not in environment.values()
