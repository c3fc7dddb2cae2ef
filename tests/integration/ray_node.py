"""A node of a real Ray cluster, for tests and benchmarks."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from nightshift.runtimes import Runtime, python_of
from nightshift.training.ray_address import ADDRESS
from tests.integration.ports import free_port
from tests.integration.servers import ServerProcess, answers

_MARK = "NIGHTSHIFT_TEST_RAY_NODE"
"""In the environment of every process of a node, so that none is ever lost."""


class RayNode(ServerProcess):
    """One node, with its own scratch folder; it ends with all its processes.

    Args:
        environment: What its workers find in their environment, such as S3's address and keys.
        address: The node's own address on this machine.
        head: The node to join; None: this is the first.
        cpus: How many workers it takes.
        inside: From the node's scratch folder to the command that starts it elsewhere, such as
            ``ip netns exec …``.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        address: str = "127.0.0.1",
        head: RayNode | None = None,
        cpus: int = 1,
        inside: Callable[[Path], Sequence[str]] = lambda folder: (),
    ) -> None:
        # Short: Ray keeps sockets below it, whose paths may have 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="nsray-"))
        self.address, self.cpus = address, cpus
        self.head = head or self
        self.mark = secrets.token_hex(8)
        self.token: str = head.token if head else secrets.token_hex(16)
        # Addresses of their own may share ports, but a machine's own address may not.
        self.port, self.jobs_port = free_port(), free_port()
        super().__init__(
            [
                *inside(self.folder),
                python_of(Runtime.ML),
                "-m",
                "ray.scripts.scripts",
                *self._arguments(),
            ],
            self.folder / "ray.log",
            {
                **environment,
                _MARK: self.mark,
                "PATH": f"{python_of(Runtime.ML).parent}:/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self.folder),
                "TMPDIR": str(self.folder / "tmp"),
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN": self.token,
                "RAY_USAGE_STATS_ENABLED": "0",
                "TF_USE_LEGACY_KERAS": "1",
                "CUDA_VISIBLE_DEVICES": "-1",
                "PYTHONPATH": "",
            },
        )
        self._lives = 0

    def _arguments(self) -> list[str]:
        joined = [f"--address={self.head.address}:{self.head.port}"]
        first = [
            "--head",
            f"--port={self.port}",
            f"--dashboard-host={self.address}",
            f"--dashboard-port={self.jobs_port}",
            f"--ray-client-server-port={free_port()}",
        ]
        return [
            "start",
            *(first if self.head is self else joined),
            f"--node-ip-address={self.address}",
            f"--dashboard-agent-listen-port={free_port()}",
            f"--num-cpus={self.cpus}",
            "--object-store-memory=100000000",
            f"--temp-dir={self.folder / 'r'}",
            "--disable-usage-stats",
            "--block",
        ]

    @property
    def url(self) -> str:
        """Where the cluster takes jobs."""
        return f"http://{self.head.address}:{self.head.jobs_port}"

    @property
    def client_environment(self) -> dict[str, str]:
        """What a step needs to run its training here."""
        return {ADDRESS: self.url, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def start(self) -> Self:
        """Start it (again), with empty scratch folders."""
        for name in ("r", "tmp"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "tmp").mkdir()
        self._lives += 1
        return super().start()

    def ready(self) -> Self:
        """Wait until the node is part of the cluster and, as its head, takes jobs."""
        return self.wait_for(self._joined, seconds=90, what=f"Ray runs on {self.address}")

    def _joined(self) -> bool:
        told = self.output.count("This command will now block")
        return told == self._lives and (self.head is not self or answers(f"{self.url}/"))

    def jobs(self) -> dict[str, str]:
        """The state of each job that was ever submitted, by its name."""
        shown = httpx.get(
            f"{self.url}/api/jobs/", headers={"Authorization": f"Bearer {self.token}"}
        )
        return {job["submission_id"]: job["status"] for job in shown.raise_for_status().json()}

    def processes(self) -> list[int]:
        """The process ids of the node that are left."""
        return list(_marked(self.mark))

    def __exit__(self, *_: object) -> None:
        # Politely it takes Ray more than ten seconds, and workers outlive it for a while.
        self.kill()
        end = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < end:
            for pid in left:
                _kill(pid)
            time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:  # it ended while we looked
        pass


def _marked(mark: str) -> Iterator[int]:
    wanted = f"{_MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)
        except OSError:  # it ended while we looked, or is somebody else's
            continue
