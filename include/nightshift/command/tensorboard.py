"""``tensorboard``: what trainings recorded, fetched from S3 and shown on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated
from urllib.error import URLError
from urllib.request import urlopen

import typer

from nightshift.command.building import ensure_runtimes
from nightshift.command.display import console
from nightshift.command.releases import require_pipeline, stack_bucket
from nightshift.errors import BadDefinitionError, UnavailableError
from nightshift.runtimes import Runtime, python_of
from nightshift.stack.environment import base_environment
from nightshift.stack.settings import StackSettings, current_settings
from nightshift.steps.lifeline import die_with_parent
from nightshift.storage.s3 import Bucket

NEWEST_NIGHTS = 10
_START_SECONDS = 60.0
_FETCH_EVERY = 10.0
"""Seconds between two looks into S3: a training that runs now uploads after each epoch."""


def tensorboard(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline's folder.")],
    night: Annotated[
        list[datetime] | None,
        typer.Option(formats=["%Y-%m-%d"], help="Only this night; may be given several times."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 0,
) -> None:
    """Show what trainings recorded: curves, histograms, the graph, a profile of a few steps.

    Fetches the recordings of the newest nights, or of those that are named, and serves TensorBoard
    on 127.0.0.1 until Ctrl-C. A training that runs meanwhile appears and grows. Builds the runtime
    that it needs (0.5 GB) when first used. The object store must be up.

    Examples:

      ./nightshift tensorboard flights

      ./nightshift tensorboard flights --night 2013-08-30 --night 2013-08-31
    """
    require_pipeline(pipeline)
    settings = current_settings()
    nights = tuple(one.date().isoformat() for one in night or ())
    recordings = Recordings(stack_bucket(settings), pipeline, nights, _folder(settings, pipeline))
    if not recordings.fetch():
        which = f" of {', '.join(nights)}" if nights else ""
        raise BadDefinitionError(
            f"{pipeline}: no training{which} has recorded anything yet. "
            f"First: ./nightshift retrain {pipeline} --night YYYY-MM-DD"
        )
    ensure_runtimes(settings, (Runtime.TENSORBOARD,))
    _serve(settings, recordings, port or _free_port())


@dataclass
class Recordings:
    """Local copies of a pipeline's recordings.

    Attributes:
        bucket: The artifact bucket.
        pipeline: Whose.
        nights: Which; empty: the newest.
        folder: Gets ``<night>/<first letters of the train step's key>/``.
    """

    bucket: Bucket
    pipeline: str
    nights: tuple[str, ...]
    folder: Path
    _copied: dict[str, str] = field(default_factory=dict)

    def fetch(self) -> int:
        """Copy what is new or has grown; returns how many files there are in all."""
        for night in self.nights or self._newest():
            prefix = self._prefix(night)
            for found in self.bucket.list(prefix):
                if self._copied.get(found.key) != found.etag:
                    self._copy(found.key, night, found.key.removeprefix(prefix))
                    self._copied[found.key] = found.etag
        return len(self._copied)

    def _copy(self, key: str, night: str, name: str) -> None:
        training, _, rest = name.partition("/")
        target = self.folder / night / training[:8] / rest
        if not target.resolve().is_relative_to(self.folder.resolve()):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        partial.write_bytes(self.bucket.get(key).body)
        partial.replace(target)

    def _newest(self) -> list[str]:
        return sorted(self._recorded(), reverse=True)[:NEWEST_NIGHTS]

    def _recorded(self) -> Iterator[str]:
        for folder in self.bucket.folders(f"{self.pipeline}/runs/"):
            night = folder.rstrip("/").rpartition("/")[2]
            if any(True for _ in self.bucket.folders(self._prefix(night))):
                yield night

    def _prefix(self, night: str) -> str:
        return f"{self.pipeline}/runs/{night}/tensorboard/"


def _folder(settings: StackSettings, pipeline: str) -> Path:
    settings.make_folders()
    return settings.run / "tensorboard" / pipeline


def _serve(settings: StackSettings, recordings: Recordings, port: int) -> None:
    address = f"http://127.0.0.1:{port}/"
    for sign in (signal.SIGINT, signal.SIGTERM):  # also where a shell starts it in the background
        signal.signal(sign, signal.default_int_handler)
    log = recordings.folder.with_name(f"{recordings.pipeline}.log")
    process = _start(settings, recordings.folder, port, log)
    try:
        _wait(process, address, log)
        console.print(f"TensorBoard: {address}   Ctrl-C ends it")
        while process.poll() is None:
            time.sleep(_FETCH_EVERY)
            _fetch_again(recordings)
        raise UnavailableError(f"TensorBoard ended by itself; its log is {log}")
    except KeyboardInterrupt:
        console.print("Ended.")
    finally:
        _end(process)


def _start(settings: StackSettings, folder: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    # Not of the stack: it may run while the stack goes down, and ends with this command, however
    # that one ends.
    environment = base_environment(settings, Runtime.TENSORBOARD)
    with log.open("wb") as output:
        return subprocess.Popen(
            [
                *(str(python_of(Runtime.TENSORBOARD)), "-m", "tensorboard.main"),
                *("--logdir", str(folder), "--host", "127.0.0.1", "--port", str(port)),
                *("--reload_interval", "5", "--load_fast", "false"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - no other thread runs here
            env={"HOME": os.environ.get("HOME", "/"), **environment},
        )


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    raise UnavailableError(f"TensorBoard did not answer at {address}; log {log}", log=lines[-12:])


def _fetch_again(recordings: Recordings) -> None:
    try:
        recordings.fetch()
    except UnavailableError as error:  # what is here stays to be looked at
        console.print(f"Nothing new is fetched: {error}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
