"""The real supervisor, with small processes: restarted when killed, gone when told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from nightshift.errors import UnavailableError
from nightshift.stack.health import is_healthy
from nightshift.stack.processes import Process
from nightshift.stack.remnants import end_remnants, remnants
from nightshift.stack.runtime_build import default_root
from nightshift.stack.settings import StackSettings
from nightshift.stack.supervision import ProcessState, Supervisor, log_of
from tests.integration.ports import free_port

# Its child has nothing of the stack's environment: so looks a process that sets its title.
_WITH_CHILD = (
    "import subprocess, sys, time; "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], env={}); "
    "time.sleep(600)"
)

STARTED = 4
"""The supervisor, its listener, the parent and its child."""


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[StackSettings]:
    settings = StackSettings(tmp_path / "stack", runtimes=default_root())
    settings.make_folders()
    yield settings
    end_remnants(settings)


@pytest.fixture
def web(settings: StackSettings) -> Process:
    port = free_port()
    return Process(
        name="web",
        runtime="tools",
        command=("python", "-m", "http.server", "--bind", "127.0.0.1", str(port)),
        health=f"http://127.0.0.1:{port}/",
    )


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_process_starts_answers_and_writes_its_log(settings: StackSettings, web: Process) -> None:
    supervisor = Supervisor(settings, (web,))
    supervisor.ensure()
    assert supervisor.info("web").state is ProcessState.STOPPED
    supervisor.start("web")
    until(lambda: is_healthy(web))
    until(lambda: "GET /" in log_of(settings, "web").read_text())
    supervisor.start("web")  # again changes nothing


def test_a_killed_process_comes_back(settings: StackSettings, web: Process) -> None:
    supervisor = Supervisor(settings, (web,))
    supervisor.ensure()
    supervisor.start("web")
    until(lambda: is_healthy(web))
    before = supervisor.info("web").pid
    psutil.Process(before).kill()
    until(lambda: supervisor.info("web").pid not in (0, before))
    until(lambda: is_healthy(web))


def test_a_killed_process_takes_its_children_along(settings: StackSettings) -> None:
    parent = Process("parent", "tools", ("python", "-c", _WITH_CHILD), "http://x")
    supervisor = Supervisor(settings, (parent,))
    supervisor.ensure()
    supervisor.start("parent")
    until(lambda: len(remnants(settings)) == STARTED)
    # One that dies within its first second has not started, for the supervisor: no event tells it.
    until(lambda: supervisor.info("parent").state is ProcessState.RUNNING)
    first = psutil.Process(supervisor.info("parent").pid)
    [child] = first.children()
    first.kill()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    until(lambda: len(remnants(settings)) == STARTED)  # started again, with a child of its own
    assert supervisor.info("parent").pid != first.pid


def test_down_leaves_no_process_and_no_child_of_one(settings: StackSettings) -> None:
    parent = Process("parent", "tools", ("python", "-c", _WITH_CHILD), "http://x")
    supervisor = Supervisor(settings, (parent,))
    supervisor.ensure()
    supervisor.start("parent")
    until(lambda: len(remnants(settings)) == STARTED)
    supervisor.shut_down()
    assert remnants(settings) == []
    assert not supervisor.is_running()


def test_a_second_down_meanwhile_ends_what_is_left(settings: StackSettings) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); "
    command = ("python", "-c", deaf + "time.sleep(600)")
    stubborn = Process("stubborn", "tools", command, "http://x", stop_seconds=20, ends_last=True)
    supervisor = Supervisor(settings, (stubborn,))
    supervisor.ensure()
    supervisor.start("stubborn")
    until(lambda: "1" in log_of(settings, "stubborn").read_text())
    first = threading.Thread(target=supervisor.shut_down)
    first.start()
    until(lambda: not Supervisor(settings, (stubborn,)).is_running())
    assert end_remnants(settings, grace_seconds=1)
    first.join()
    assert remnants(settings) == []


def test_what_a_killed_supervisor_leaves_is_found_and_ended(settings: StackSettings) -> None:
    parent = Process("parent", "tools", ("python", "-c", _WITH_CHILD), "http://x")
    supervisor = Supervisor(settings, (parent,))
    supervisor.ensure()
    supervisor.start("parent")
    until(lambda: len(remnants(settings)) == STARTED)
    psutil.Process(int((settings.run / "supervisor.pid").read_text())).kill()
    until(lambda: not supervisor.is_running())
    until(lambda: len(remnants(settings)) == 2)  # the listener ends by itself
    assert len(end_remnants(settings)) == 2
    assert remnants(settings) == []


def test_another_stacks_processes_are_left_alone(
    settings: StackSettings, web: Process, tmp_path: Path
) -> None:
    supervisor = Supervisor(settings, (web,))
    supervisor.ensure()
    assert end_remnants(replace(settings, home=tmp_path / "other")) == []
    assert supervisor.is_running()


def test_a_changed_declaration_restarts_that_process_alone(
    settings: StackSettings, web: Process
) -> None:
    other = replace(web, name="other", command=("python", "-c", "import time; time.sleep(600)"))
    first = Supervisor(settings, (web, other))
    first.ensure()
    for name in ("web", "other"):
        first.start(name)
    until(lambda: first.info("web").state is ProcessState.RUNNING)
    until(lambda: first.info("other").state is ProcessState.RUNNING)
    before = first.infos()
    changed = Supervisor(settings, (web, replace(other, environment={"NEW": "1"})))
    changed.ensure()
    changed.start("other")
    until(lambda: changed.info("other").state is ProcessState.RUNNING)
    assert changed.info("web").pid == before["web"].pid
    assert changed.info("other").pid != before["other"].pid


def test_secrets_are_for_the_owner_alone(settings: StackSettings, web: Process) -> None:
    supervisor = Supervisor(settings, (web,))
    supervisor.ensure()
    assert supervisor.config.stat().st_mode & 0o077 == 0
    assert (settings.sockets / "supervisor.sock").stat().st_mode & 0o077 == 0


def test_without_a_supervisor_one_line_says_how_to_start(
    settings: StackSettings, web: Process
) -> None:
    with pytest.raises(UnavailableError, match=r"not running\. Start it: \./nightshift up"):
        Supervisor(settings, (web,)).infos()
