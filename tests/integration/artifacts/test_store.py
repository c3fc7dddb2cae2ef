"""The artifact store on a real object store: nothing half, nothing changed, one winner.

All of it holds for plain artifacts and for encrypted ones; what only these have to show is in
``test_encryption``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightshift.artifacts.keys import digest
from nightshift.artifacts.manifest import MANIFEST, FileEntry
from nightshift.artifacts.store import Artifact, ArtifactStore
from nightshift.encryption.keys import MODEL_KEY, ensure_key_file
from nightshift.errors import DigestMismatchError
from tests.integration.artifacts.drafts import KIND, PIPELINE, draft, write_files
from tests.integration.servers import S3

ROOT = Path(__file__).parents[3]
FILES = {"model.bin": b"weights", "sub/vocabulary.txt": b"AA\nUA\n", "empty": b""}

names = st.from_regex(r"[a-z]{1,6}(/[a-z]{1,6})?\.bin", fullmatch=True)
contents = st.dictionaries(names, st.binary(max_size=2000), min_size=1, max_size=5)
any_content = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(params=["plain", "encrypted"])
def store(
    s3: S3,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> ArtifactStore:
    if request.param == "encrypted":
        file = tmp_path_factory.mktemp("keys") / "model.key"
        ensure_key_file(file)
        monkeypatch.setenv(MODEL_KEY, str(file))
    return ArtifactStore(s3.artifacts)


def commit(store: ArtifactStore, folder: Path, key: str = "k") -> Artifact:
    return store.commit(draft(key), write_files(folder, FILES))


@given(content=contents)
@any_content
def test_what_is_read_is_what_was_committed(
    store: ArtifactStore, content: dict[str, bytes]
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        manifest = draft(digest(repr(sorted(content.items())).encode())[:32])
        artifact = store.commit(manifest, write_files(Path(scratch, "in"), content))
        found = store.find(PIPELINE, KIND, artifact.ref.key)
        assert found == artifact == store.open(artifact.ref)
        paths = store.fetch(found, Path(scratch, "out"))
        assert {name: path.read_bytes() for name, path in paths.items()} == content
        assert all(store.read(found, name) == body for name, body in content.items())


def test_of_racing_writers_one_wins_and_none_touches_anothers_files(
    store: ArtifactStore, tmp_path: Path
) -> None:
    writers = 8
    barrier = threading.Barrier(writers)

    def write(number: int) -> tuple[str, Artifact]:
        mine, content = draft(), {"model.bin": b"%d" % number, "same.bin": b"same"}
        folder = write_files(tmp_path / str(number), content)
        barrier.wait()
        return mine.attempt, store.commit(mine, folder)

    with ThreadPoolExecutor(writers) as pool:
        results = list(pool.map(write, range(writers)))
    winners = {artifact.ref.digest for _, artifact in results}
    assert len(winners) == 1, "everyone is told of the same winner"
    winner = results[0][1]
    attempts = [attempt for attempt, _ in results]
    number = attempts.index(winner.manifest.attempt)
    assert store.read(winner, "model.bin") == b"%d" % number
    for index, attempt in enumerate(attempts):
        assert store.read(_as_if_it_had_won(winner, attempt, index), "model.bin") == b"%d" % index


def _as_if_it_had_won(winner: Artifact, attempt: str, number: int) -> Artifact:
    files = {"model.bin": FileEntry(size=1, sha256=digest(b"%d" % number))}
    manifest = winner.manifest.model_copy(update={"attempt": attempt, "files": files})
    return Artifact(winner.ref, manifest)


def test_a_second_commit_changes_nothing_and_returns_the_first(
    store: ArtifactStore, tmp_path: Path
) -> None:
    first = commit(store, tmp_path / "a")
    again = store.commit(draft(), write_files(tmp_path / "b", {"model.bin": b"other"}))
    assert again == first
    assert store.read(store.open(first.ref), "model.bin") == b"weights"


@pytest.mark.parametrize("deadly", range(len(FILES) + 1))
def test_a_writer_killed_at_any_write_leaves_nothing_visible(
    store: ArtifactStore, tmp_path: Path, deadly: int
) -> None:
    """The last write is the manifest's: even right before it there is no artifact."""
    folder = write_files(tmp_path / "draft", FILES)
    command = [sys.executable, "-m", "tests.integration.artifacts.killed_writer"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    ended = subprocess.run(
        [*command, "k", str(folder), str(deadly)],
        check=False,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert store.find(PIPELINE, KIND, "k") is None
    retried = store.commit(draft(), folder)
    assert {n: store.read(retried, n) for n in FILES} == FILES


def test_every_file_is_there_when_the_manifest_appears(
    s3: S3, store: ArtifactStore, tmp_path: Path
) -> None:
    """A reader that polls sees nothing, and then everything: never a manifest before a file."""
    reader = ArtifactStore(s3.artifacts)
    missing: list[str] = []
    seen = threading.Event()
    content = {f"part-{number:02}.bin": b"x" * 100_000 for number in range(24)}

    def read() -> None:
        while (artifact := reader.find(PIPELINE, KIND, "k")) is None:
            pass
        for name in artifact.manifest.files:
            if not reader.bucket.exists(reader.file_key(artifact, name)):
                missing.append(name)
        missing.extend(set(content) - set(artifact.manifest.files))
        seen.set()

    thread = threading.Thread(target=read)
    thread.start()
    store.commit(draft(), write_files(tmp_path, content))
    thread.join(30)
    assert seen.is_set() and missing == []


@given(at=st.integers(min_value=0, max_value=4000))
@any_content
def test_a_flipped_bit_is_refused_by_name(store: ArtifactStore, at: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        artifact = commit(store, Path(scratch, "in"))
        key = store.file_key(artifact, "model.bin")
        whole = store.bucket.get(key).body
        body = bytearray(whole)
        body[at // 8 % len(body)] ^= 1 << at % 8
        store.bucket.put(key, bytes(body))
        with pytest.raises(DigestMismatchError, match=r"model\.bin"):
            store.read(artifact, "model.bin")
        out = Path(scratch, "out")
        with pytest.raises(DigestMismatchError, match=r"model\.bin"):
            store.fetch(artifact, out)
        assert not (out / "model.bin").exists(), "damaged bytes never get the file's name"
        store.bucket.put(key, whole)


def test_a_missing_file_is_refused_by_name(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = commit(store, tmp_path / "in")
    store.bucket.delete(store.file_key(artifact, "sub/vocabulary.txt"))
    with pytest.raises(DigestMismatchError, match=r"vocabulary\.txt"):
        store.fetch(artifact, tmp_path / "out")


def test_a_changed_manifest_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = commit(store, tmp_path / "in")
    key = f"{PIPELINE}/artifacts/{KIND}/k/{MANIFEST}"
    body = store.bucket.get(key).body
    store.bucket.put(key, body.replace(b'"by": ""', b'"by": "x"'))
    with pytest.raises(DigestMismatchError, match="changed a committed artifact"):
        store.open(artifact.ref)
    store.bucket.delete(key)
    with pytest.raises(DigestMismatchError, match="no manifest any more"):
        store.open(artifact.ref)


def test_a_swapped_artifact_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    """The right name over another artifact's manifest: the reference pins the bytes."""
    one, two = commit(store, tmp_path / "a", "one"), commit(store, tmp_path / "b", "two")
    prefix = f"{PIPELINE}/artifacts/{KIND}"
    store.bucket.put(f"{prefix}/one/{MANIFEST}", store.bucket.get(f"{prefix}/two/{MANIFEST}").body)
    assert two.ref.digest != one.ref.digest
    with pytest.raises(DigestMismatchError):
        store.open(one.ref)


def test_a_large_file_goes_and_comes_in_parts(store: ArtifactStore, tmp_path: Path) -> None:
    body = os.urandom(20 << 20)
    artifact = store.commit(draft(), write_files(tmp_path / "in", {"big.bin": body}))
    assert store.fetch(artifact, tmp_path / "out")["big.bin"].read_bytes() == body
