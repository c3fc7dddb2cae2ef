"""The pinned environments that steps run in: where each one is, and the digest of its lock."""

from __future__ import annotations

import os
from enum import StrEnum
from functools import cache
from pathlib import Path

from nightshift.artifacts.keys import digest
from nightshift.errors import BadDefinitionError


class Runtime(StrEnum):
    """One isolated environment; its packages are pinned in ``include/runtimes/<name>.txt``."""

    AIRFLOW = "airflow"
    ML = "ml"
    VALIDATION = "validation"
    TOOLS = "tools"
    TENSORBOARD = "tensorboard"
    """Only for looking at what trainings recorded; no step runs in it."""


def lock_file(runtime: Runtime) -> Path:
    """The runtime's pinned, hashed requirements."""
    return Path(__file__).parents[1] / "runtimes" / f"{runtime}.txt"


@cache
def lock_digest(runtime: Runtime) -> str:
    """SHA-256 of the runtime's lock file; part of the key of every step that runs in it."""
    return digest(lock_file(runtime).read_bytes())


def runtimes_root() -> Path:
    """Where runtimes are installed: ``NIGHTSHIFT_RUNTIMES`` or ``.nightshift/runtimes``."""
    configured = os.environ.get("NIGHTSHIFT_RUNTIMES")
    return Path(configured) if configured else Path(__file__).parents[2] / ".nightshift/runtimes"


def python_of(runtime: Runtime) -> Path:
    """The interpreter of a runtime.

    Raises:
        BadDefinitionError: The runtime is not installed on this machine.
    """
    python = runtimes_root() / runtime / "bin" / "python"
    if not python.exists():
        raise BadDefinitionError(
            f"The runtime '{runtime}' is not installed under {runtimes_root()}. "
            "Run './nightshift up' (it builds what is missing), or set NIGHTSHIFT_RUNTIMES."
        )
    return python
