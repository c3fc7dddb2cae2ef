"""Scratch folders on this machine that do not outlive whoever works in them.

TensorFlow leaves generated files in the temporary folder, and a process that is killed leaves all
that it has there. So every step's process has a temporary folder of its own, which whoever started
it removes; and whoever was killed as well is cleaned up after by the next one on the machine.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "nightshift-step-"
_SETTLED_SECONDS = 60.0
"""A younger folder may have been made a moment ago and not be held yet."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is gone afterwards. Those that nobody holds any more are removed first."""
    remove_left()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def remove_left() -> None:
    """Remove the folders whose holder was killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # gone meanwhile, or somebody else's
        try:
            if time.time() - os.fstat(held).st_mtime > _SETTLED_SECONDS:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue  # at work
        finally:
            os.close(held)
