"""The supervisor: its configuration, rendered from the declared processes, and its control."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import threading
import time
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from nightshift.encryption.keys import SETTINGS
from nightshift.errors import BadDefinitionError, UnavailableError
from nightshift.stack.environment import base_environment
from nightshift.stack.passwords import write_private
from nightshift.stack.processes import Process
from nightshift.stack.settings import MARKER, StackSettings

_USER = "nightshift"
_START_SECONDS = 15.0
_ALREADY_STARTED = 60
_NOT_RUNNING = 70
_SHUTTING_DOWN = 6


class ProcessState(StrEnum):
    """What the supervisor says of a process, in its own words."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class ProcessInfo:
    """One supervised process as it is now."""

    name: str
    state: ProcessState
    pid: int
    seconds: float
    """How long it has been running."""
    problem: str = ""
    """Why it did not start, in the supervisor's words."""


def socket_of(settings: StackSettings) -> Path:
    """The supervisor's Unix socket."""
    return settings.sockets / "supervisor.sock"


def log_of(settings: StackSettings, name: str) -> Path:
    """The log of one process: what it writes to standard output and error."""
    return settings.logs / f"{name}.log"


def render(settings: StackSettings, declared: tuple[Process, ...]) -> str:
    """The supervisor's whole configuration. Holds secrets: write it for its owner alone."""
    socket = socket_of(settings)
    password = _escaped(settings.passwords.supervisor)
    head = f"""\
[supervisord]
logfile={settings.logs / "supervisor.log"}
logfile_maxbytes=10MB
logfile_backups=2
pidfile={settings.run / "supervisor.pid"}
directory={settings.working_directory}
umask=077
nodaemon=false
minfds=4096
identifier=nightshift

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[unix_http_server]
file={socket}
chmod=0600
username={_USER}
password={password}
"""
    programs = "".join(_program(settings, process) for process in declared)
    return head + programs + _orphan_listener(settings)


def _orphan_listener(settings: StackSettings) -> str:
    pairs = _pairs(base_environment(settings, "tools"))
    python = settings.runtimes / "tools" / "bin" / "python"
    return f"""
[eventlistener:orphans]
command={_quoted(str(python))} -m nightshift.stack.orphans
events=PROCESS_STATE_EXITED
environment={pairs}
directory={settings.working_directory}
stdout_logfile=NONE
stderr_logfile={log_of(settings, "orphans")}
stderr_logfile_maxbytes=1MB
"""


def _program(settings: StackSettings, process: Process) -> str:
    pairs = _pairs({**base_environment(settings, process.runtime), **process.environment})
    program, *arguments = process.command
    command = [str(settings.runtimes / process.runtime / "bin" / program), *arguments]
    return f"""
[program:{process.name}]
command={" ".join(_quoted(part) for part in command)}
environment={pairs}
directory={settings.working_directory}
autostart=false
autorestart=true
startsecs=1
startretries=5
stopasgroup=true
killasgroup=true
stopwaitsecs={process.stop_seconds}
redirect_stderr=true
stdout_logfile={log_of(settings, process.name)}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=3
"""


def _pairs(environment: Mapping[str, str]) -> str:
    return ",".join(f"{name}={_value(value)}" for name, value in sorted(environment.items()))


def _escaped(value: str) -> str:
    return value.replace("%", "%%")  # the supervisor expands %(name)s


def _value(value: str) -> str:
    """An environment value. The supervisor knows two kinds of quotes and no escape in them."""
    quote = "'" if '"' in value else '"'
    if quote in value or "\n" in value:
        raise BadDefinitionError(f"A value with both kinds of quotes or a line break: {value!r}")
    return quote + _escaped(value) + quote


def _quoted(part: str) -> str:
    if "\n" in part:
        raise BadDefinitionError(f"An argument with a line break: {part!r}")
    return _escaped(shlex.quote(part))


class Supervisor:
    """Controls one stack's supervisor. Safe to use from several threads."""

    def __init__(self, settings: StackSettings, declared: tuple[Process, ...]) -> None:
        self.settings = settings
        self.declared = declared
        self._calls = threading.Lock()

    @property
    def config(self) -> Path:
        """The rendered configuration."""
        return self.settings.run / "supervisord.conf"

    def is_running(self) -> bool:
        """Whether the supervisor answers."""
        try:
            self._call("getState")
        except UnavailableError:
            return False
        return True

    def ensure(self) -> None:
        """Start the supervisor, or have the running one take over a changed configuration."""
        write_private(self.config, render(self.settings, self.declared))
        if self.is_running():
            self._take_over_changes()
        else:
            self._start()

    def start(self, name: str) -> None:
        """Start one process if it is not running; returns before it is healthy."""
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _ALREADY_STARTED:
                raise UnavailableError(
                    f"The process '{name}' could not be started: {fault.faultString}."
                ) from None

    def infos(self) -> dict[str, ProcessInfo]:
        """Every supervised process by name.

        Raises:
            UnavailableError: The supervisor is not running.
        """
        return {info["name"]: _info(info) for info in self._call("getAllProcessInfo")}

    def info(self, name: str) -> ProcessInfo:
        """One supervised process."""
        return _info(self._call("getProcessInfo", name))

    def shut_down(self) -> None:
        """Stop every process, then the supervisor; returns when it has ended or after a while."""
        pid = int(self._call("getPID"))
        longest = max((p.stop_seconds for p in self.declared), default=10)
        deadline = time.monotonic() + longest + 10
        first = {process.name for process in self.declared if not process.ends_last}
        for name, info in self.infos().items():
            if name in first and info.pid:
                self._stop_without_waiting(name)
        while self._any_alive(first) and time.monotonic() < deadline:
            time.sleep(0.2)
        self._call("shutdown")
        while _is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        if self.settings.sockets != self.settings.run and not _is_alive(pid):
            shutil.rmtree(self.settings.sockets, ignore_errors=True)

    def _any_alive(self, names: set[str]) -> bool:
        return any(info.pid for name, info in self.infos().items() if name in names)

    def _stop_without_waiting(self, name: str) -> None:
        try:
            self._call("stopProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _NOT_RUNNING:
                raise UnavailableError(
                    f"The process '{name}' could not be stopped: {fault.faultString}."
                ) from None

    def _start(self) -> None:
        socket_of(self.settings).unlink(missing_ok=True)
        program = self.settings.runtimes / "tools" / "bin" / "supervisord"
        environment = {k: v for k, v in os.environ.items() if not _is_foreign(k)}
        done = subprocess.run(
            [str(program.parent / "python"), str(program), "-c", str(self.config)],
            env={**environment, MARKER: str(self.settings.home)},
            cwd=self.settings.working_directory,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            # Its own message may quote the configuration, passwords and all.
            raise UnavailableError(
                f"The supervisor did not start (exit code {done.returncode}). To see why: "
                f"{program} -n -c {self.config}"
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_running():
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"The supervisor did not answer within {_START_SECONDS:g} s; see "
                    f"{self.settings.logs / 'supervisor.log'}."
                )
            time.sleep(0.05)

    def _take_over_changes(self) -> None:
        [[added, changed, removed]] = self._call("reloadConfig")
        for name in [*changed, *removed]:
            self._call("stopProcessGroup", name, True)
            self._call("removeProcessGroup", name)
        for name in [*added, *changed]:
            self._call("addProcessGroup", name)

    def _call(self, method: str, *arguments: Any) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(
            _USER, self.settings.passwords.supervisor, f"unix://{socket_of(self.settings)}"
        )
        with self._calls:
            proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            try:
                return getattr(proxy.supervisor, method)(*arguments)
            except xmlrpc.client.ProtocolError as error:
                raise UnavailableError(f"The supervisor refused: {error.errmsg}") from None
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != _SHUTTING_DOWN:
                    raise
                raise UnavailableError(
                    "The stack is being stopped by another command. Try again in a moment."
                ) from None
            except (OSError, xmlrpc.client.ResponseError) as error:
                raise UnavailableError("The stack is not running. Start it: ./nightshift up") from (
                    error
                )
            finally:
                transport.close()


def _info(raw: dict[str, Any]) -> ProcessInfo:
    running = raw["statename"] == ProcessState.RUNNING
    return ProcessInfo(
        name=raw["name"],
        state=ProcessState(raw["statename"]),
        pid=int(raw["pid"]),
        seconds=float(raw["now"] - raw["start"]) if running else 0.0,
        problem=str(raw.get("spawnerr") or ""),
    )


def _is_alive(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _is_foreign(variable: str) -> bool:
    """Settings of this shell that would change what the stack's processes do."""
    return variable in SETTINGS or variable.startswith(
        ("PYTHON", "AIRFLOW", "MLFLOW", "AWS_", "VIRTUAL_ENV")
    )
