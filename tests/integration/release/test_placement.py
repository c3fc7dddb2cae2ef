"""An encrypted version comes onto a host: plain in its place, its user's alone, or not at all.

The same with servers and signatures is in ``locked/test_encrypted.py``.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from nightshift.artifacts.store import ArtifactStore
from nightshift.encryption.keys import MODEL_KEY, ensure_key_file
from nightshift.errors import BadDefinitionError
from nightshift.release.candidate import Candidate
from nightshift.release.layout import HostLayout
from nightshift.release.placement import Placement, UnfitArtifactError
from nightshift.release.record import Colour
from tests.integration.artifacts.drafts import PIPELINE, draft, write_files
from tests.integration.servers import S3

GRAPH = "saved_model/saved_model.pb"
GOLDEN = {"signature": "serving_default", "inputs": {"x": [1.0]}, "outputs": {"p": [0.1]}}
FILES = {GRAPH: b"a graph " * 100, "golden.json": json.dumps({**GOLDEN, "tolerance": 0.1}).encode()}


@pytest.fixture
def store(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    """Of a process that has the key."""
    ensure_key_file(tmp_path / "model.key")
    monkeypatch.setenv(MODEL_KEY, str(tmp_path / "model.key"))
    return ArtifactStore(s3.artifacts)


@pytest.fixture
def placement(tmp_path: Path) -> Placement:
    models = tmp_path / "models"
    layout = HostLayout(models, models, tmp_path / "state", tmp_path / "envoy")
    return Placement(layout, PIPELINE, Colour.BLUE)


def registered(store: ArtifactStore, folder: Path, version: int) -> Candidate:
    artifact = store.commit(draft(f"{version:032}"), write_files(folder, FILES))
    assert artifact.manifest.encrypted_with
    return Candidate(version=version, night=date(2026, 1, version), model=artifact.ref)


def place_of(store: ArtifactStore, candidate: Candidate) -> str:
    return store.file_key(store.open(candidate.model), GRAPH)


def test_it_is_plain_in_its_place_and_its_users_alone(
    store: ArtifactStore, placement: Placement, tmp_path: Path
) -> None:
    candidate = registered(store, tmp_path / "1", 1)
    placed = placement.pull(candidate, store)
    assert placement.remembered(candidate) == placed and placement.is_intact(candidate, placed)
    there = placement.folder(1) / "saved_model.pb"
    assert there.read_bytes() == FILES[GRAPH]
    assert there.stat().st_mode & 0o777 == 0o600
    assert there.parent.stat().st_mode & 0o777 == 0o700
    assert FILES[GRAPH][:32] not in store.bucket.get(place_of(store, candidate)).body


def test_another_versions_encrypted_file_is_not_placed(
    store: ArtifactStore, placement: Placement, tmp_path: Path
) -> None:
    one, two = (registered(store, tmp_path / str(version), version) for version in (1, 2))
    swapped = store.bucket.get(place_of(store, one)).body
    store.bucket.put(place_of(store, two), swapped)
    with pytest.raises(UnfitArtifactError, match="it was encrypted as another file"):
        placement.pull(two, store)
    assert not placement.folder(2).exists()
    assert not list((tmp_path / "models").rglob("*.pb"))


def test_a_host_without_the_key_is_to_blame_and_not_the_version(
    s3: S3,
    store: ArtifactStore,
    placement: Placement,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candidate = registered(store, tmp_path / "1", 1)
    monkeypatch.delenv(MODEL_KEY)
    with pytest.raises(BadDefinitionError, match=MODEL_KEY):
        placement.pull(candidate, ArtifactStore(s3.artifacts))
    assert not list((tmp_path / "models").rglob("*.pb"))
