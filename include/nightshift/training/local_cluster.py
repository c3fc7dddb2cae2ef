"""A job's processes on this machine: one per role, watched, and ended together."""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from nightshift.errors import NightshiftError
from nightshift.training.job import Beat, Job, Role, Task, WorkerLostError
from nightshift.training.watchdog import Watchdog
from nightshift.training.worker import BEATS, PARENT

LAST_LINES = 20
"""Lines of a lost worker that its error shows."""
_SETTLE_SECONDS = 2.0
"""After one process died others may fail because of it: so long, until the cause is looked for."""
_LOOK_SECONDS = 0.5


@dataclass
class _Process:
    """One role's process and what it said last."""

    role: Role
    popen: subprocess.Popen[bytes]
    beats: IO[bytes]
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    ended: float | None = None
    """When its end was noticed."""
    error: Beat | None = None


class LocalCluster:
    """This machine."""

    def run(self, job: Job, work: Path, log: logging.Logger) -> None:
        """See :meth:`nightshift.training.cluster.Cluster.run`."""
        work.mkdir(parents=True, exist_ok=True)
        job_file = work / "job.json"
        job_file.write_text(job.model_dump_json(), encoding="utf-8")
        addresses = _addresses(job.roles)
        watch = _Watch(job, log)
        try:
            for role in job.roles:
                watch.add(_start(role, addresses, job_file, work / str(role)))
            watch.to_the_end()
        finally:
            watch.end_all()


class _Watch:
    """Reads what the processes print and tell, until all are done or one is lost."""

    def __init__(self, job: Job, log: logging.Logger) -> None:
        self.job, self.log = job, log
        self.processes: list[_Process] = []
        self.dog = Watchdog(job.roles, job.training.progress_timeout_seconds)
        self.selector = selectors.DefaultSelector()

    def add(self, process: _Process) -> None:
        self.processes.append(process)
        assert process.popen.stdout is not None
        for stream, take in ((process.popen.stdout, self._line), (process.beats, self._beat)):
            os.set_blocking(stream.fileno(), False)
            self.selector.register(stream, selectors.EVENT_READ, _Lines(process, take))

    def to_the_end(self) -> None:
        while not self._all_done():
            self._read(_LOOK_SECONDS)
            self._notice_ends()
            self._refuse_stuck()
        self._read(0.0)

    def end_all(self) -> None:
        for process in self.processes:
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGKILL)
        for process in self.processes:
            process.popen.wait()
        self.selector.close()
        for process in self.processes:
            process.beats.close()

    def _all_done(self) -> bool:
        """Servers of a job that its chief has ended are done as well."""
        chief = self.processes[0]
        if chief.role.task is Task.CHIEF:
            return chief.popen.poll() == 0
        return all(process.popen.poll() == 0 for process in self.processes)

    def _read(self, seconds: float) -> None:
        for key, _ in self.selector.select(seconds):
            lines: _Lines = key.data
            if not lines.feed(key.fileobj):  # type: ignore[arg-type]
                self.selector.unregister(key.fileobj)

    def _line(self, process: _Process, line: str) -> None:
        process.lines.append(line)
        self.log.info("[%s] %s", process.role, line)

    def _beat(self, process: _Process, line: str) -> None:
        beat = Beat.model_validate_json(line)
        self.dog.hear(process.role, beat)
        if beat.error:
            process.error = beat

    def _notice_ends(self) -> None:
        now = time.monotonic()
        for process in self.processes:
            if process.ended is None and process.popen.poll() not in (None, 0):
                process.ended = now
        lost = [process for process in self.processes if process.ended is not None]
        if not lost:
            return
        killed = [process for process in lost if (process.popen.returncode or 0) < 0]
        foreseen = [process for process in lost if process.error]
        if foreseen:
            self._raise_foreseen(foreseen[0])
        cause = min(killed or lost, key=lambda process: process.ended or now)
        if killed or self._settled(since=cause.ended or now):
            self._read(0.0)
            # TensorFlow gives a stopped peer up before anyone here calls that one stuck.
            silent = None if killed else self._alive_but_silent()
            if silent:
                self._lose(*silent)
            self._lose(cause, how_it_ended(cause.popen.returncode))

    def _settled(self, since: float) -> bool:
        """Whether it is known how all others fare, some time after one process failed."""
        alive = [process.role for process in self.processes if process.popen.poll() is None]
        waited = time.monotonic() - since > _SETTLE_SECONDS
        return waited and self.dog.accounted(alive, since)

    def _alive_but_silent(self) -> tuple[_Process, str] | None:
        stuck = self.dog.silent()
        if stuck is None:
            return None
        process = self._of(stuck.role)
        return (process, stuck.how) if process.popen.poll() is None else None

    def _of(self, role: Role) -> _Process:
        return next(process for process in self.processes if process.role == role)

    def _raise_foreseen(self, process: _Process) -> None:
        assert process.error is not None
        assert process.error.error is not None
        told = process.error.error
        error = NightshiftError(told.message, **told.facts, role=str(process.role))
        error.kind = told.kind
        raise error

    def _refuse_stuck(self) -> None:
        stuck = self.dog.stuck()
        if stuck:
            self._lose(self._of(stuck.role), stuck.how)

    def _lose(self, process: _Process, how: str) -> None:
        raise lost(self.job, process.role, self.dog.last(process.role), how, list(process.lines))


def lost(job: Job, role: Role, beat: Beat, how: str, lines: Sequence[str]) -> WorkerLostError:
    """The error of a job that lost one of its processes.

    Args:
        job: The job.
        role: Which process.
        beat: What it told last.
        how: How it ended, or how it is stuck.
        lines: Its last log lines.
    """
    quoted = "".join(f"\n    {line}" for line in lines) or " none"
    return WorkerLostError(
        f"{job.request.pipeline}: {role} of strategy '{job.training.strategy}' {how} in epoch "
        f"{beat.epoch + 1} after step {beat.step} ({beat.phase}). The job was stopped as a whole; "
        f"the retry goes on from the last checkpoint. Last lines of {role}:{quoted}",
        role=str(role),
        how=how,
        epoch=beat.epoch,
        step=beat.step,
        lines=list(lines),
    )


def how_it_ended(code: int | None) -> str:
    """An exit code in words."""
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    hint = " (out of memory is the usual cause)" if code == -signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-code).name}{hint}"


class _Lines:
    """Cuts what a pipe gives into lines."""

    def __init__(self, process: _Process, take) -> None:  # type: ignore[no-untyped-def]
        self.process, self.take = process, take
        self.rest = b""

    def feed(self, stream: IO[bytes]) -> bool:
        """Read what is there; False at the end."""
        try:
            data = os.read(stream.fileno(), 1 << 16)
        except BlockingIOError:
            return True
        *lines, self.rest = (self.rest + data).split(b"\n")
        if not data and self.rest:
            lines, self.rest = [self.rest], b""
        for line in lines:
            self.take(self.process, line.decode(errors="replace"))
        return bool(data)


def _start(role: Role, addresses: dict[Task, list[str]], job_file: Path, folder: Path) -> _Process:
    folder.mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()
    config = {"cluster": addresses, "task": {"type": role.task, "index": role.index}}
    try:
        popen = subprocess.Popen(
            [sys.executable, "-m", "nightshift.training.worker", str(job_file), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
            env={
                **os.environ,
                "TF_CONFIG": json.dumps(config),
                # Between processes of one machine no proxy has anything to say.
                "no_proxy": "127.0.0.1",
                BEATS: str(writing),
                PARENT: str(os.getpid()),
            },
        )
    finally:
        os.close(writing)
    return _Process(role, popen, os.fdopen(reading, "rb", buffering=0))


def _addresses(roles: Sequence[Role]) -> dict[Task, list[str]]:
    """Free ports of 127.0.0.1, one for each role, as ``TF_CONFIG`` lists them."""
    addresses: dict[Task, list[str]] = {}
    sockets = [socket.socket() for _ in roles]
    try:
        for role, probe in zip(roles, sockets, strict=True):
            probe.bind(("127.0.0.1", 0))
            addresses.setdefault(role.task, []).append(f"127.0.0.1:{probe.getsockname()[1]}")
    finally:
        for probe in sockets:
            probe.close()
    return addresses
