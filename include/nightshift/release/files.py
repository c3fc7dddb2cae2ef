"""Files on a serving host's own disk: a kill leaves the old or the new, models are their user's."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace a file's content; a reader sees all of the old or all of the new.

    The rename is also what Envoy's directory watch reacts to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def close_to_others(folder: Path) -> list[Path]:
    """Let nobody but its owner reach a folder: mode 700, and 600 for every file below.

    Returns:
        The folder and the files that others could reach by their modes.
    """
    found = [folder] if _close(folder, 0o700) else []
    for parent, folders, files in os.walk(folder):
        for name in folders:
            _close(Path(parent, name), 0o700)
        found += [Path(parent, name) for name in files if _close(Path(parent, name), 0o600)]
    return found


def _close(path: Path, mode: int) -> bool:
    """Whether it was open, and is closed now. A link has no mode of its own."""
    found = path.lstat().st_mode
    if stat.S_ISLNK(found) or not found & 0o077:
        return False
    path.chmod(mode)
    return True
