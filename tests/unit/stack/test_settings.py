"""Which stack a shell means, and on which ports."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightshift.stack.ports import Ports
from nightshift.stack.settings import StackSettings, current_settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("NIGHTSHIFT_PORT_BASE", "NIGHTSHIFT_PORT_AIRFLOW"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path / "stack"))
    return tmp_path / "stack"


def test_another_shell_finds_a_moved_stack(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_PORT_BASE", "20000")
    current_settings().remember_ports()
    monkeypatch.delenv("NIGHTSHIFT_PORT_BASE")
    assert current_settings().ports.airflow == 20000


def test_a_word_in_the_environment_counts_more_than_last_time(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    StackSettings(home, ports=Ports(airflow=9999)).remember_ports()
    monkeypatch.setenv("NIGHTSHIFT_PORT_AIRFLOW", "9090")
    assert current_settings().ports.airflow == 9090


def test_folders_are_closed_to_other_users(home: Path) -> None:
    settings = StackSettings(home)
    settings.make_folders()
    for folder in (settings.home, settings.data, settings.logs, settings.run):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_deep_folder_gets_its_sockets_where_their_paths_fit(tmp_path: Path) -> None:
    deep = StackSettings(tmp_path / ("x" * 120))
    assert len(str(deep.sockets / "supervisor.sock")) < 100
    assert StackSettings(Path("/short")).sockets == Path("/short/run")


@pytest.mark.parametrize(("cores", "slots", "tasks"), [(1, 2, 4), (2, 2, 4), (16, 8, 16)])
def test_work_fits_the_machine(cores: int, slots: int, tasks: int, tmp_path: Path) -> None:
    settings = StackSettings(tmp_path, cores=cores)
    assert (settings.heavy_slots, settings.parallelism) == (slots, tasks)
