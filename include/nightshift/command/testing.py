"""``test``: everything that must hold before a change is good."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from nightshift.command.building import RUNTIMES, ensure_runtimes
from nightshift.command.display import console, heading, span
from nightshift.stack.settings import StackSettings, current_settings

_ROOT_VARIABLES = ("HOME", "LANG", "LC_ALL", "TMPDIR", "TERM", "USER")


@dataclass(frozen=True)
class Check:
    """One thing to run.

    Attributes:
        name: Its line in the summary.
        runtime: Where it runs; the testing overlay is laid over it.
        module: What ``python -m`` runs.
        arguments: Its arguments.
        slow: Left out by ``--fast``.
    """

    name: str
    runtime: str
    module: str
    arguments: tuple[str, ...]
    slow: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a check ended."""

    check: Check
    code: int
    seconds: float
    closing: str
    """Its last line: what pytest, ruff or mypy itself says in sum."""


_SIDE_BY_SIDE = "--numprocesses=2"
"""As many as cores: with three on two cores the machine is full, and nothing is quicker."""
_APART = ("--cache-dir", ".mypy_cache/airflow")
_CODE = ("include", "plugins", "dags", "tests", "benchmarks")


def checks(keyword: str | None) -> tuple[Check, ...]:
    """All checks, quickest first; with ``keyword`` only tests, and of those the ones it fits."""
    chosen = ("-k", keyword) if keyword else ()

    def pytest(name: str, runtime: str, *arguments: str, slow: bool = False) -> Check:
        return Check(name, runtime, "pytest", (f"tests/{name}", *arguments, *chosen), slow)

    tests = (
        pytest("unit", "ml", _SIDE_BY_SIDE, "--dist=loadfile"),
        pytest("dags", "airflow", _SIDE_BY_SIDE),
        # What stays together and what comes first says tests/integration/conftest.py.
        pytest("integration", "ml", _SIDE_BY_SIDE, "--durations=30", slow=True),
    )
    if keyword:
        return tests
    return (
        Check("style", "tools", "ruff", ("check", *_CODE)),
        Check("format", "tools", "ruff", ("format", "--check", *_CODE)),
        Check("types", "ml", "mypy", ()),
        # Airflow's own types are in its runtime alone; it runs beside the other, so apart from it.
        Check("plugin types", "airflow", "mypy", (*_APART, "plugins/nightshift_airflow", "dags")),
        *tests,
    )


def test(
    fast: Annotated[
        bool, typer.Option("--fast", help="Style, types, unit and DAG tests: no servers.")
    ] = False,
    keyword: Annotated[
        str | None, typer.Option("-k", help="Only tests whose names fit, as pytest reads it.")
    ] = None,
) -> None:
    """Run style, types and every test; exit code 1 where anything is red.

    Examples:

      ./nightshift test

      ./nightshift test --fast

      ./nightshift test -k rollback
    """
    settings = current_settings()
    ensure_runtimes(settings, (*RUNTIMES, "testing", "clients"))
    wanted = [check for check in checks(keyword) if not (fast and check.slow)]
    # What only reads code runs side by side; tests have all cores to themselves.
    begun = {c.name: _begin(settings, c) for c in wanted if c.module != "pytest"}
    outcomes = [_end(check, begun.get(check.name) or _begin(settings, check)) for check in wanted]
    _summarise(outcomes, keyword)
    if any(_is_red(outcome, keyword) for outcome in outcomes):
        raise typer.Exit(1)


def _begin(settings: StackSettings, check: Check) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [settings.runtimes / check.runtime / "bin/python", "-m", check.module, *check.arguments],
        cwd=settings.project,
        env=_environment(settings, check.runtime),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _end(check: Check, process: subprocess.Popen[str]) -> Outcome:
    """Show what it says, as it says it, until its end."""
    heading(f"{check.name}: {check.module} {' '.join(check.arguments)}".rstrip())
    started = time.monotonic()
    assert process.stdout is not None
    closing = ""
    for line in process.stdout:
        console.out(line.rstrip("\n"), highlight=False)
        closing = line.strip() or closing
    return Outcome(check, process.wait(), time.monotonic() - started, closing)


def _environment(settings: StackSettings, runtime: str) -> dict[str, str]:
    """The same whoever runs the tests: no stack, keys or Python settings of this shell."""
    passed = {name: os.environ[name] for name in _ROOT_VARIABLES if name in os.environ}
    overlay = settings.runtimes / "testing"
    programs = settings.runtimes / runtime / "bin"
    return {
        **passed,
        "PATH": f"{programs}:{overlay / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": f"{settings.project / 'include'}:{overlay}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NIGHTSHIFT_RUNTIMES": str(settings.runtimes),
        "TF_USE_LEGACY_KERAS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "-1",
    }


_NO_TESTS_FIT = 5


def _is_red(outcome: Outcome, keyword: str | None) -> bool:
    # pytest's code where no test was chosen: with -k that is not a failure of this folder.
    return outcome.code != 0 and not (keyword and outcome.code == _NO_TESTS_FIT)


def _summarise(outcomes: list[Outcome], keyword: str | None) -> None:
    table = Table.grid(padding=(0, 2))
    for outcome in outcomes:
        red = _is_red(outcome, keyword)
        mark = Text("✗", style="red") if red else Text("✓", style="green")
        table.add_row(mark, outcome.check.name, span(outcome.seconds), Text(outcome.closing))
    heading("Summary")
    console.print(table)
    red_names = [o.check.name for o in outcomes if _is_red(o, keyword)]
    if red_names:
        console.print(Text(f"Red: {', '.join(red_names)}", style="bold red"))
    else:
        console.print(Text("All green", style="bold green"))
