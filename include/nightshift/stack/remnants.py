"""Processes of a stack wherever they ended up: told by their environment or current folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nightshift.stack.settings import MARKER, StackSettings

if TYPE_CHECKING:
    import psutil


def remnants(settings: StackSettings) -> list[psutil.Process]:
    """Every living process of this stack, supervised or not, apart from this one."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if _is_ours(process, settings):
                found.append(process)
        except (psutil.Error, OSError):  # gone meanwhile, or another user's
            continue
    return found


def _is_ours(process: psutil.Process, settings: StackSettings) -> bool:
    marked = process.environ().get(MARKER) == str(settings.home)
    return marked or process.cwd() == str(settings.working_directory)


def end_remnants(settings: StackSettings, grace_seconds: float = 10.0) -> list[str]:
    """End what a killed supervisor left behind; returns the names of what was ended."""
    import psutil

    ended: list[str] = []
    # A dying parent may start one more child: look again until nothing is left.
    for _ in range(3):
        left = remnants(settings)
        if not left:
            break
        for process in left:
            ended.append(_name(process))
            _signal(process, force=False)
        _, stubborn = psutil.wait_procs(left, timeout=grace_seconds)
        for process in stubborn:
            _signal(process, force=True)
        psutil.wait_procs(stubborn, timeout=5.0)
    return ended


def _name(process: psutil.Process) -> str:
    import psutil

    try:
        return f"{process.name()} ({process.pid})"
    except psutil.Error:
        return str(process.pid)


def _signal(process: psutil.Process, *, force: bool) -> None:
    import psutil

    try:
        if force:
            process.kill()
        else:
            process.terminate()
    except psutil.Error:
        pass
