"""The real images where a test needs them: installed from Debian, as a person would."""

from __future__ import annotations

import os
import subprocess

import pytest

from nightshift.data.sources.fashion import INSTALLED, PACKAGE

_SECONDS = 300


def require_images() -> None:
    """Have the package installed; skip the test, saying why, where it truly cannot be had."""
    if INSTALLED.is_dir():
        return
    if os.geteuid() != 0:
        pytest.skip(f"{PACKAGE} is not installed, and only root can: apt-get install {PACKAGE}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    said = ""
    for command in (["update"], ["install", "-y", "--no-install-recommends", PACKAGE]):
        done = subprocess.run(
            ["apt-get", "-q", *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        said = done.stderr.strip()
    if not INSTALLED.is_dir():
        pytest.skip(f"{PACKAGE} cannot be installed here: {said[-300:]}")
