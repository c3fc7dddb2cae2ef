"""Encrypted artifacts on a real object store: unreadable there, bound to their place, rotated."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from nightshift.artifacts.manifest import MODEL_KINDS
from nightshift.artifacts.store import Artifact, ArtifactStore
from nightshift.encryption.keys import MODEL_KEY, OLD_MODEL_KEYS, ensure_key_file
from nightshift.errors import BadDefinitionError, DigestMismatchError
from tests.integration.artifacts.drafts import PIPELINE, draft, write_files
from tests.integration.servers import S3

FILES = {"saved_model/saved_model.pb": b"a graph " * 500, "golden.json": b'{"inputs": {}}'}
MODEL = "saved_model/saved_model.pb"

Process = Callable[..., ArtifactStore]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """Two keys: the files of each, by a name."""
    files = {name: tmp_path / "keys" / f"{name}.key" for name in ("first", "second")}
    for file in files.values():
        ensure_key_file(file)
    return {name: str(file) for name, file in files.items()}


@pytest.fixture
def process(s3: S3, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Process:
    """A store as a process with these keys has it."""

    def begin(current: str = "", *old: str) -> ArtifactStore:
        monkeypatch.setenv(MODEL_KEY, keys.get(current, ""))
        monkeypatch.setenv(OLD_MODEL_KEYS, ",".join(keys[name] for name in old))
        store = ArtifactStore(s3.artifacts)
        store.key_for("model")  # Reads the settings as they are now.
        return store

    return begin


def commit(store: ArtifactStore, folder: Path, key: str = "a1", kind: str = "model") -> Artifact:
    manifest = draft(key).model_copy(update={"kind": kind})
    return store.commit(manifest, write_files(folder, FILES))


def plain(artifact: Artifact, store: ArtifactStore) -> bool:
    """Whether the object store has the very bytes that were committed."""
    found = [store.bucket.get(store.file_key(artifact, n)).body == FILES[n] for n in FILES]
    assert len(set(found)) == 1
    return found[0]


@pytest.mark.parametrize("kind", sorted(MODEL_KINDS))
def test_whoever_reads_the_bucket_reads_no_model(
    kind: str, process: Process, tmp_path: Path
) -> None:
    store = process("first")
    artifact = commit(store, tmp_path / "in", kind=kind)
    stored = [store.bucket.get(item.key).body for item in store.bucket.list(PIPELINE)]
    assert len(stored) == len(FILES) + 1
    assert not [body for body in stored for wanted in FILES.values() if wanted[:40] in body]
    assert artifact.manifest.encrypted_with.startswith("file:")
    assert all(store.read(artifact, name) == body for name, body in FILES.items())


def test_what_tells_of_models_stays_readable(process: Process, tmp_path: Path) -> None:
    store = process("first")
    artifact = commit(store, tmp_path / "in", kind="evaluation")
    assert plain(artifact, store) and not artifact.manifest.encrypted_with


def test_digests_are_those_of_the_plain_bytes(process: Process, tmp_path: Path) -> None:
    """So that signatures, checks on hosts and comparisons are the same, encrypted or not."""
    artifact = commit(process("first"), tmp_path / "in")
    for name, body in FILES.items():
        entry = artifact.manifest.files[name]
        assert (entry.size, entry.sha256) == (len(body), hashlib.sha256(body).hexdigest())


@pytest.mark.parametrize("current", ["", "second"])
def test_without_its_key_an_artifact_is_refused_with_the_setting(
    current: str, process: Process, tmp_path: Path
) -> None:
    artifact = commit(process("first"), tmp_path / "in")
    stranger = process(current)
    for attempt in (
        lambda: stranger.read(artifact, MODEL),
        lambda: stranger.fetch(artifact, tmp_path / "out"),
    ):
        with pytest.raises(BadDefinitionError, match=MODEL_KEY) as refusal:
            attempt()
        assert artifact.manifest.encrypted_with in refusal.value.message
    assert not [path for path in tmp_path.glob("out/**/*") if path.is_file()]


def test_another_artifacts_file_in_its_place_is_refused(process: Process, tmp_path: Path) -> None:
    """The same bytes under the same key: what they were encrypted as tells them apart."""
    store = process("first")
    one, two = commit(store, tmp_path / "a", "a1"), commit(store, tmp_path / "b", "b2")
    assert one.manifest.files == two.manifest.files
    swapped = store.bucket.get(store.file_key(two, MODEL)).body
    store.bucket.put(store.file_key(one, MODEL), swapped)
    with pytest.raises(DigestMismatchError, match=r"artifact 'b2' instead of 'a1'.*Do not use it"):
        store.fetch(one, tmp_path / "out")
    assert not (tmp_path / "out" / MODEL).exists()
    assert store.read(two, MODEL) == FILES[MODEL]


def test_another_file_of_the_same_artifact_is_refused(process: Process, tmp_path: Path) -> None:
    store = process("first")
    artifact = commit(store, tmp_path / "in")
    swapped = store.bucket.get(store.file_key(artifact, "golden.json")).body
    store.bucket.put(store.file_key(artifact, MODEL), swapped)
    with pytest.raises(DigestMismatchError, match=r"file 'golden\.json' instead of"):
        store.read(artifact, MODEL)


def test_plain_bytes_in_an_encrypted_files_place_are_refused(
    process: Process, tmp_path: Path
) -> None:
    """Even the right ones: whoever could put them there had no key."""
    store = process("first")
    artifact = commit(store, tmp_path / "in")
    store.bucket.put(store.file_key(artifact, MODEL), FILES[MODEL])
    with pytest.raises(DigestMismatchError, match="cannot be decrypted"):
        store.read(artifact, MODEL)


def test_artifacts_of_before_and_after_each_change_of_keys_are_read(
    process: Process, tmp_path: Path
) -> None:
    """Plain, then a first key, then a second one, then off again: nothing is ever rewritten."""
    history = [((), ""), (("first",), "first"), (("second", "first"), "second")]
    history.append((("", "second", "first"), ""))
    made: list[Artifact] = []
    for number, (names, writes_with) in enumerate(history):
        store = process(*names)
        made.append(commit(store, tmp_path / str(number), f"a{number}"))
        assert plain(made[-1], store) == (writes_with == "")
        assert all(store.read(artifact, MODEL) == FILES[MODEL] for artifact in made)
    used = [artifact.manifest.encrypted_with for artifact in made]
    assert used[0] == used[3] == "" and len({*used}) == 3


def test_a_large_file_is_never_whole_in_memory(process: Process, tmp_path: Path) -> None:
    """In parts to the store, in frames from it."""
    store = process("first")
    body = bytes(range(256)) * (30 << 12)
    folder = write_files(tmp_path / "in", {"big.bin": body})
    artifact = store.commit(draft(), folder)
    assert (
        store.bucket.client.head_object(
            Bucket=store.bucket.name, Key=store.file_key(artifact, "big.bin")
        )["ETag"]
        .strip('"')
        .endswith("-4")
    )
    assert store.fetch(artifact, tmp_path / "out")["big.bin"].read_bytes() == body
