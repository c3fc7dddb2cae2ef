"""Ports for the servers of tests, never the same for two tests that run at one time."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

# Below what the kernel gives to outgoing connections: one of those could take a port between the
# moment it is found free and the moment a server listens on it. Above the 10,000 ports of Ray's
# workers. SeaweedFS adds 10,000 for gRPC.
_LOWEST, _HIGHEST = 20_000, 32_000
_CLAIMS = Path(tempfile.gettempdir()) / f"nightshift-test-ports-{os.getuid()}"
_claimed: dict[int, IO[str]] = {}


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses and that no test run has been given."""
    return free_range(1)


def free_range(count: int) -> int:
    """The first of ``count`` consecutive such ports. They are this process's until it ends."""
    for _ in range(1000):
        first = random.randrange(_LOWEST, _HIGHEST - count)
        ports = range(first, first + count)
        if all(_claim(port) and _is_free(port) for port in ports):
            return first
    raise AssertionError(f"no {count} free ports from {_LOWEST} to {_HIGHEST}")


def _claim(port: int) -> bool:
    """Whether no other process that runs tests has it; a process that dies gives up its own."""
    if port in _claimed:
        return False
    _CLAIMS.mkdir(mode=0o700, exist_ok=True)
    file = (_CLAIMS / str(port)).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _claimed[port] = file
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: what an ended server's connections leave for a minute is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
