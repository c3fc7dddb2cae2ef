"""Real servers for tests: each a process on free ports of 127.0.0.1, always ended by its pid."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from nightshift.runtimes import Runtime, python_of
from nightshift.storage.s3 import Bucket
from tests.integration.ports import free_port

# One secret for all servers of a run: boto3 keeps the first credentials it finds in a process.
_SECRET = secrets.token_hex(16)


def wait_until(
    condition: Callable[[], bool], *, seconds: float, what: str, every: float = 0.05
) -> None:
    """Poll until ``condition`` holds; where it never does, fail and say what did not happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(every)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def answers(url: str) -> bool:
    """Whether an HTTP server answers 200 at ``url``."""
    try:
        return httpx.get(url, timeout=2.0).status_code == 200
    except httpx.HTTPError:
        return False


class ServerProcess:
    """One server process with its log file. Used as a context manager it always ends.

    Args:
        command: Program and arguments.
        log: File that receives standard output and error (appended to over restarts).
        environment: Variables added to this process's own.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        self.environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running process's id."""
        assert self._process is not None, f"{self.command[0]} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """Everything that it has printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self) -> Self:
        """Start it (again)."""
        assert not self.running, f"{self.command[0]} runs already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.log.parent,
                env={**os.environ, **self.environment},
            )
        return self

    def wait_for(self, condition: Callable[[], bool], *, seconds: float, what: str) -> Self:
        """Wait for a condition; fail at once, with the log's end, if the process dies first."""

        def holds() -> bool:
            if not self.running:
                raise AssertionError(f"{self.command} died:\n{self.output[-3000:]}")
            return condition()

        try:
            wait_until(holds, seconds=seconds, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output[-3000:]}") from None
        return self

    def kill(self) -> None:
        """``kill -9``, children too, as a machine that loses power would."""
        self._signal(signal.SIGKILL)

    def stop(self, grace: float = 10.0) -> int:
        """SIGTERM, then by force after ``grace`` seconds; returns the exit code."""
        if self._process is None:
            return 0
        self._signal(signal.SIGTERM, wait=grace)
        self._signal(signal.SIGKILL)
        return self._process.wait()

    def _signal(self, sign: signal.Signals, wait: float = 10.0) -> None:
        if self._process is None:
            return
        try:
            # The leader may have ended and left children: the group is signalled all the same.
            os.killpg(self._process.pid, sign)
        except ProcessLookupError:
            pass
        try:
            self._process.wait(wait)
        except subprocess.TimeoutExpired:
            pass

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class SeaweedServer(ServerProcess):
    """SeaweedFS: an S3 server of its own, with its data in ``folder``; survives ``kill``.

    Args:
        folder: For its data and its log.
        address: The address of this machine that it listens on.
    """

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        self.address = address
        self.access_key = "nightshift"
        self.secret_key = _SECRET
        self.port = free_port()
        parts = [
            *(f"{part}.port" for part in _HTTP_PARTS),
            *(f"{p}.port.grpc" for p in _GRPC_PARTS),
        ]
        self._ports = {"s3.port": self.port} | {part: free_port() for part in parts}
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        super().__init__(
            [
                tool("weed"),
                "-logtostderr=true",
                "mini",
                f"-dir={data}",
                f"-ip={address}",
                f"-ip.bind={address}",
                *(f"-{part}={port}" for part, port in self._ports.items()),
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-webdav=false",
                "-admin.ui=false",
                "-master.telemetry=false",
            ],
            folder / "weed.log",
            {
                "AWS_ACCESS_KEY_ID": self.access_key,
                "AWS_SECRET_ACCESS_KEY": self.secret_key,
            },
        )

    @property
    def url(self) -> str:
        """The S3 endpoint."""
        return f"http://{self.address}:{self.port}"

    @property
    def client_environment(self) -> dict[str, str]:
        """What a process needs to reach it."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def ready(self) -> Self:
        """Wait until it takes writes."""
        return self.wait_for(self._takes_writes, seconds=60, what="SeaweedFS takes writes")

    def __exit__(self, *_: object) -> None:
        # A polite end takes SeaweedFS 5 s, and nobody reads this data again.
        self.kill()
        for port in self._ports.values():
            for socket_file in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                socket_file.unlink(missing_ok=True)

    def _takes_writes(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            client = s3_client(self.client_environment)
            client.create_bucket(Bucket="probe")
            client.put_object(Bucket="probe", Key="probe", Body=b"probe")
            client.delete_bucket(Bucket="probe")
        except ClientError as error:
            return error.response["Error"]["Code"] == "BucketAlreadyOwnedByYou"
        except BotoCoreError:
            return False
        return True


_HTTP_PARTS = ("master", "filer", "volume", "admin")
_GRPC_PARTS = ("master", "filer", "volume", "admin", "s3")


def s3_client(environment: Mapping[str, str]):  # type: ignore[no-untyped-def]
    """A boto3 client that gives up quickly, for setting buckets up."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
        config=Config(
            retries={"total_max_attempts": 1},
            connect_timeout=2,
            read_timeout=10,
            s3={"addressing_style": "path"},
        ),
    )


def make_buckets(environment: Mapping[str, str], artifacts: str, lake: str) -> None:
    """Both buckets of Nightshift, empty; the lake keeps versions."""
    client = s3_client(environment)
    for name in (artifacts, lake):
        client.create_bucket(Bucket=name)
    client.put_bucket_versioning(Bucket=lake, VersioningConfiguration={"Status": "Enabled"})


def drop_buckets(environment: Mapping[str, str], *names: str) -> None:
    """Remove buckets with everything in them (SeaweedFS allows that)."""
    for name in names:
        s3_client(environment).delete_bucket(Bucket=name)


class S3:
    """What the ``s3`` fixture hands out: the server, and both buckets as the project sees them."""

    def __init__(self, server: SeaweedServer, artifacts: str, lake: str) -> None:
        self.server = server
        self.artifacts = Bucket(artifacts)
        self.lake = Bucket(lake)

    @property
    def environment(self) -> dict[str, str]:
        """What a process of the project needs to reach both buckets."""
        return {
            **self.server.client_environment,
            "NIGHTSHIFT_BUCKET": self.artifacts.name,
            "NIGHTSHIFT_LAKE_BUCKET": self.lake.name,
        }


def tool(name: str) -> Path:
    """A program of the ``tools`` runtime, such as ``weed`` or ``envoy``."""
    return python_of(Runtime.TOOLS).parent / name
