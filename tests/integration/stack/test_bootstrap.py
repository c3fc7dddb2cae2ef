"""The script itself, as a newcomer runs it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nightshift.stack.runtime_build import default_root

ROOT = Path(__file__).parents[3]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "nightshift", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={
            "HOME": os.environ.get("HOME", "/"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "NIGHTSHIFT_RUNTIMES": str(default_root()),
            **environment,
        },
    )


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of programs without any Python."""
    for name in ("sh", "dirname", "readlink", "env"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    return tmp_path


def test_help_needs_nothing_else() -> None:
    done = run("--help")
    assert done.returncode == 0, done.stderr
    assert "./nightshift demo" in done.stdout


def test_it_runs_from_anywhere_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "nightshift"
    link.symlink_to(ROOT / "nightshift")
    done = subprocess.run([link, "--help"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0


def test_without_python_one_line_says_what_to_install(bare: Path) -> None:
    done = run("up", PATH=str(bare))
    assert done.returncode == 1
    assert "apt-get install python3.11 python3-venv" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_another_python_is_not_taken_for_3_11(bare: Path) -> None:
    old = bare / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")  # what 3.9 answers when asked whether it is 3.11
    old.chmod(0o755)
    done = run("up", PATH=str(bare))
    assert "apt-get install python3.11 python3-venv" in done.stderr


def test_without_the_venv_module_one_line_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import importlib.util, runpy, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda n, *a: None if n == 'ensurepip' else find(n, *a)\n"
        f"sys.argv = ['bootstrap.py', 'up']\n"
        f"runpy.run_path({str(ROOT / 'include/nightshift/stack/bootstrap.py')!r}, "
        "run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip().endswith("apt-get install python3.11 python3-venv")
    assert len(done.stderr.splitlines()) == 1


def test_a_taken_port_is_one_line_and_nothing_was_started(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        base = str(41000 if number < 40000 else 21000)
        done = run(
            "up",
            "envoy",
            NIGHTSHIFT_HOME=str(tmp_path / "stack"),
            NIGHTSHIFT_PORT_BASE=base,
            NIGHTSHIFT_PORT_MLFLOW=str(number),
        )
    assert done.returncode == 1
    assert f"Port {number} (mlflow) is taken by" in done.stderr
    assert "NIGHTSHIFT_PORT_MLFLOW=NUMBER ./nightshift up" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "stack/run/supervisor.pid").exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    done = run("up", NIGHTSHIFT_RUNTIMES=str(file / "runtimes"))
    assert done.returncode == 1
    assert "could not be installed" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
