"""Drafts of artifacts for the store's tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from nightshift.artifacts.manifest import Manifest
from nightshift.artifacts.store import new_attempt

PIPELINE, KIND = "flights", "model"


def draft(key: str = "k") -> Manifest:
    """A manifest without files, of an attempt of its own."""
    return Manifest(
        pipeline=PIPELINE,
        kind=KIND,
        key=key,
        attempt=new_attempt(),
        files={},
        created=datetime.now(UTC),
    )


def write_files(folder: Path, content: dict[str, bytes]) -> Path:
    """Write files below a folder."""
    for name, body in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return folder
