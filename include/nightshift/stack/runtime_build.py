"""Build one runtime from its lock file, completely or not at all.

Standard library only: the very first runtime is built before anything is installed. A runtime is
complete once it bears the digest of its lock file; a killed build bears none and is built anew.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STAMP = ".lock-digest"

_GIGABYTE = 10**9
# Measured gigabytes on disk, with some air: a full disk is better found before than half-way.
_NEEDED = {
    "tools": 0.5,
    "airflow": 1.0,
    "ml": 4.0,
    "validation": 3.5,
    "testing": 0.3,
    "clients": 0.2,
    "tensorboard": 0.6,
}
_NO_NETWORK = (
    "dns error",
    "error sending request",
    "failed to fetch",
    "temporary failure in name resolution",
    "network is unreachable",
    "newconnectionerror",
    "connection refused",
    "timed out",
)


class BuildError(Exception):
    """A runtime could not be built; the message is one line for a person."""


def default_root() -> Path:
    """Where runtimes are installed: ``NIGHTSHIFT_RUNTIMES`` or ``.nightshift/runtimes``."""
    configured = os.environ.get("NIGHTSHIFT_RUNTIMES")
    return (
        Path(configured).absolute()
        if configured
        else Path(__file__).resolve().parents[3] / ".nightshift/runtimes"
    )


@dataclass(frozen=True)
class RuntimeBuild:
    """How one runtime gets from its lock file to its folder.

    Attributes:
        name: Name of the runtime and of its lock file ``<name>.txt``.
        root: Folder of all runtimes.
        locks: Folder of the lock files.
        overlay: Name of a runtime whose Python this one is laid over: then it is a plain folder
            for PYTHONPATH, not a virtual environment.
    """

    name: str
    root: Path
    locks: Path
    overlay: str | None = None

    @property
    def folder(self) -> Path:
        """Where the runtime lies."""
        return self.root / self.name

    @property
    def python(self) -> Path:
        """The interpreter that the runtime runs in."""
        return self.root / (self.overlay or self.name) / "bin" / "python"

    @property
    def lock(self) -> Path:
        """The pinned, hashed requirements."""
        return self.locks / f"{self.name}.txt"

    def digest(self) -> str:
        """SHA-256 of all that decides what is installed."""
        content = self.lock.read_bytes()
        if self.name == "tools":  # it also carries the installer of all the others
            content += (self.locks / "bootstrap.txt").read_bytes()
        return hashlib.sha256(content).hexdigest()

    def is_current(self) -> bool:
        """Whether the runtime is complete and built from this very lock file."""
        try:
            stamped = (self.folder / STAMP).read_text(encoding="ascii").strip()
        except OSError:
            return False
        return stamped == self.digest() and self.python.exists()

    def run(self) -> bool:
        """Build it unless another command did meanwhile; False where nothing was to be done.

        Raises:
            BuildError: No space, no network, or the installer failed.
        """
        with self._alone():
            if self.is_current():
                return False
            self._check_space()
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.name == "tools":
                self._create_with_pip()
            elif not self.overlay:
                self._run([*self._uv, "venv", "--quiet", "--python", _base_python(), self.folder])
            self._install()
            self._stamp()
            return True

    @property
    def _uv(self) -> list[str]:
        return [str(self.root / "tools/bin/python"), "-m", "uv"]

    def _create_with_pip(self) -> None:
        try:
            venv.create(self.folder, with_pip=True, symlinks=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise _explained(self.name, str(error), error) from error
        pip: list[str | Path] = [
            self.python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        self._run([*pip, "--require-hashes", "-r", self.locks / "bootstrap.txt"])

    def _install(self) -> None:
        target: list[str | Path] = ["--target", self.folder] if self.overlay else []
        # Importing TensorFlow costs 11 s without byte code and 4 s with it.
        command = [*self._uv, "pip", "install", "--quiet", "--require-hashes", "--compile-bytecode"]
        self._run([*command, "--python", self.python, *target, "-r", self.lock])

    def _run(self, command: Sequence[str | Path]) -> None:
        # The caller's own Python settings must not leak into another runtime's installation.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        done = subprocess.run(
            [str(part) for part in command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise _explained(self.name, done.stdout)

    def _stamp(self) -> None:
        partial = self.folder / f"{STAMP}.part"
        partial.write_text(self.digest() + "\n", encoding="ascii")
        partial.replace(self.folder / STAMP)

    def _check_space(self) -> None:
        needed = _NEEDED.get(self.name, 1.0)
        free = shutil.disk_usage(self.root).free / _GIGABYTE
        if free < needed:
            raise BuildError(
                f"the runtime '{self.name}' needs {needed:g} GB and {self.root} has {free:.1f} GB "
                "free. Free some, or set NIGHTSHIFT_RUNTIMES to a folder on a larger disk."
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / f".{self.name}.lock").open("w")
        except OSError as error:
            raise _explained(self.name, str(error), error) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            except OSError as error:
                raise _explained(self.name, str(error), error) from error


def _base_python() -> str:
    # A virtual environment made from another one breaks when that one is rebuilt.
    return str(getattr(sys, "_base_executable", sys.executable))


def _explained(name: str, output: str, error: BaseException | None = None) -> BuildError:
    """The one line that says what is wrong and what to do, out of an installer's many."""
    lowered = output.lower()
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "no space left" in lowered or "disk quota exceeded" in lowered:
        return BuildError(
            f"the disk is full: the runtime '{name}' could not be installed. Free some space, or "
            "set NIGHTSHIFT_RUNTIMES to a folder on a larger disk; then run the command again."
        )
    if any(sign in lowered for sign in _NO_NETWORK):
        return BuildError(
            f"the packages of the runtime '{name}' could not be fetched: no package index "
            "answers. Check the network or the proxy; then run the command again."
        )
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = " / ".join(lines[-3:]) if lines else "the installer said nothing"
    return BuildError(f"the runtime '{name}' could not be installed: {last}")
