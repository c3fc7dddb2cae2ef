"""Bring the stack up, in parallel and in the right order, and down without leaving a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from nightshift.errors import NightshiftError, UnavailableError
from nightshift.stack.board import Board, Part, Phase
from nightshift.stack.health import is_healthy
from nightshift.stack.ports import taken_ports
from nightshift.stack.preparation import make_folders, prepare
from nightshift.stack.processes import Preparation, Process, processes
from nightshift.stack.remnants import end_remnants, remnants
from nightshift.stack.settings import StackSettings
from nightshift.stack.supervision import ProcessState, Supervisor, log_of

_HEALTH_SECONDS = 480  # three minutes were too short for a disk that had to be read cold
_POLL_SECONDS = 0.5
_LOG_LINES = 12


class PartFailedError(UnavailableError):
    """A part of the stack did not come up; carries the end of its log."""

    def __init__(self, name: str, why: str, log: list[str]) -> None:
        super().__init__(f"{name}: {why}", log=log)
        self.log = log


@dataclass(frozen=True)
class _Node:
    name: str
    after: tuple[str, ...]
    work: Callable[[], None]


class Startup:
    """One attempt to bring the stack up. :meth:`run` does it, :attr:`board` shows it."""

    def __init__(self, settings: StackSettings, only: tuple[str, ...] = ()) -> None:
        self.settings = settings
        self.declared = processes(settings)
        self.supervisor = Supervisor(settings, self.declared)
        self._given_up = threading.Event()
        self._nodes = self._chosen(only)
        self.board = Board({name: Part(name) for name in self._nodes})

    def run(self) -> None:
        """Start what is not running and wait until all of it works. May be called at any time.

        Raises:
            PartFailedError: A process did not become healthy; the others go on running.
            NightshiftError: A port is taken, or something else stands in the way.
        """
        make_folders(self.settings)
        if not self.supervisor.is_running():
            end_remnants(self.settings)  # of a stack whose supervisor was killed
            self._check_ports()
        self.settings.remember_ports()
        self.supervisor.ensure()
        self._run_nodes()

    def give_up(self) -> None:
        """Wait for nothing any more; processes that were started go on running."""
        self._given_up.set()

    def _check_ports(self) -> None:
        if taken := taken_ports(self.settings.ports):
            raise UnavailableError("\n".join(str(port) for port in taken))

    def _chosen(self, only: tuple[str, ...]) -> dict[str, _Node]:
        nodes = {node.name: node for node in self._all_nodes()}
        if unknown := sorted(set(only) - set(nodes)):
            raise UnavailableError(
                f"There is no process {', '.join(unknown)}. There are: {', '.join(nodes)}."
            )
        wanted, waiting = set[str](), list(only or nodes)
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                wanted.add(name)
                waiting.extend(nodes[name].after)
        return {name: node for name, node in nodes.items() if name in wanted}

    def _all_nodes(self) -> list[_Node]:
        settings = self.settings

        def preparation(what: Preparation, *after: str) -> _Node:
            return _Node(what, after, lambda: prepare(what, settings))

        def process(declared: Process) -> _Node:
            return _Node(declared.name, declared.after, lambda: self._start(declared))

        return [
            preparation(Preparation.AIRFLOW_DATABASE),
            preparation(Preparation.BUCKETS, "seaweedfs"),
            *(process(declared) for declared in self.declared),
            preparation(Preparation.AIRFLOW_POOLS, "airflow-api-server"),
        ]

    def _run_nodes(self) -> None:
        ready: set[str] = set()
        running: dict[Future[None], str] = {}
        waiting = dict(self._nodes)
        problems: list[NightshiftError] = []
        with ThreadPoolExecutor(len(self._nodes), thread_name_prefix="up") as pool:
            while (waiting or running) and not problems:
                for node in [n for n in waiting.values() if ready.issuperset(n.after)]:
                    del waiting[node.name]
                    self.board.begin(node.name)
                    running[pool.submit(node.work)] = node.name
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    name = running.pop(future)
                    error = future.exception()
                    self.board.end(name, Phase.FAILED if error else Phase.READY)
                    if isinstance(error, NightshiftError):
                        problems.append(error)
                    elif error:
                        self._given_up.set()
                        raise error
                    ready.add(name)
            self._given_up.set()
        if problems:
            raise problems[0]

    def _start(self, process: Process) -> None:
        self.supervisor.start(process.name)
        deadline = time.monotonic() + _HEALTH_SECONDS
        while not is_healthy(process):
            info = self.supervisor.info(process.name)
            if info.state is ProcessState.FATAL:
                raise self._failed(process, info.problem or "it ended as often as it was started")
            if self._given_up.is_set() or time.monotonic() > deadline:
                raise self._failed(process, f"it did not answer at {process.health} in time")
            time.sleep(_POLL_SECONDS)

    def _failed(self, process: Process, why: str) -> PartFailedError:
        return PartFailedError(process.name, why, last_lines(self.settings, process.name))


def last_lines(settings: StackSettings, name: str, count: int = _LOG_LINES) -> list[str]:
    """The end of one process's log."""
    try:
        with log_of(settings, name).open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - 64_000))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]


def bring_down(settings: StackSettings) -> list[str]:
    """Stop everything; returns names of processes that outlived the supervisor and were ended."""
    supervisor = Supervisor(settings, processes(settings))
    if supervisor.is_running():
        supervisor.shut_down()
    ended = end_remnants(settings)
    if left := remnants(settings):
        raise UnavailableError(
            f"Still running: {', '.join(str(process.pid) for process in left)}. End them by id."
        )
    return ended
