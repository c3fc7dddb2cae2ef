"""Artifacts in S3: files first, the manifest last, by a write that only one attempt can win.

Layout, below ``s3://<bucket>/<pipeline>/artifacts/<kind>/<key>/``::

    <attempt>/<file> …     each attempt writes under its own name, so attempts never touch
    manifest.json          written with If-None-Match: *, names the attempt that won

Without a manifest there is no artifact. Readers trust the manifest alone and check every digest.
"""

from __future__ import annotations

import hashlib
import mimetypes
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nightshift.artifacts.keys import digest
from nightshift.artifacts.manifest import MANIFEST, ArtifactRef, FileEntry, Manifest
from nightshift.errors import DigestMismatchError
from nightshift.storage.s3 import AbsentError, Bucket

_PARALLEL = 8
_TYPES = {".html": "text/html; charset=utf-8", ".json": "application/json"}


@dataclass(frozen=True)
class Artifact:
    """A committed artifact: its reference and its manifest."""

    ref: ArtifactRef
    manifest: Manifest


class ArtifactStore:
    """All artifacts of one bucket.

    Methods raise :class:`nightshift.errors.UnavailableError` where the object store is away.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def find(self, pipeline: str, kind: str, key: str) -> Artifact | None:
        """The committed artifact of this key, or None."""
        prefix = _prefix(pipeline, kind, key)
        try:
            body = self.bucket.get(f"{prefix}/{MANIFEST}").body
        except AbsentError:
            return None
        return self._artifact(prefix, body)

    def open(self, ref: ArtifactRef) -> Artifact:
        """The artifact behind a reference.

        Raises:
            DigestMismatchError: The manifest is gone or is not the one that was referred to.
        """
        prefix = self._prefix_of(ref)
        try:
            body = self.bucket.get(f"{prefix}/{MANIFEST}").body
        except AbsentError:
            raise DigestMismatchError(f"{ref.uri}: the artifact has no manifest any more") from None
        if digest(body) != ref.digest:
            raise DigestMismatchError(
                f"{ref.uri}/{MANIFEST}: SHA-256 is {digest(body)[:16]}…, the reference says "
                f"{ref.digest[:16]}…: somebody changed a committed artifact. Do not use it; "
                "restore it from backup or retrain with force."
            )
        return self._artifact(prefix, body)

    def commit(self, draft: Manifest, folder: Path) -> Artifact:
        """Upload every file below ``folder``, then make the artifact visible.

        Args:
            draft: The manifest without its files; ``attempt`` must be new for each attempt
                (see :func:`new_attempt`).
            folder: Local files; sub-folders become part of the names.

        Returns:
            The artifact that won, which may be another attempt's with the same key.
        """
        prefix = _prefix(draft.pipeline, draft.kind, draft.key)
        files = self.upload(f"{prefix}/{draft.attempt}", folder)
        body = draft.model_copy(update={"files": files}).model_dump_json(indent=1).encode()
        # The commit: nothing before this line is visible, nothing after it changes anything.
        self.bucket.create(f"{prefix}/{MANIFEST}", body)
        committed = self.bucket.get(f"{prefix}/{MANIFEST}").body
        return self._artifact(prefix, committed)

    def upload(self, prefix: str, folder: Path) -> dict[str, FileEntry]:
        """Upload a folder's files under a prefix; returns each file's size and digest."""
        names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())

        def one(name: str) -> FileEntry:
            path = folder / name
            entry = _entry(path)
            self.bucket.upload(f"{prefix}/{name}", path, content_type=content_type(name))
            return entry

        with ThreadPoolExecutor(_PARALLEL) as pool:
            return dict(zip(names, pool.map(one, names), strict=True))

    def fetch(
        self, artifact: Artifact, into: Path, *, names: Iterable[str] | None = None
    ) -> dict[str, Path]:
        """Download files, checking size and digest of each before it gets its name.

        Args:
            artifact: What :meth:`find` or :meth:`open` gave.
            into: Local folder; made where it is missing.
            names: Files wanted; all by default.

        Raises:
            DigestMismatchError: A file is missing or its bytes are not those committed.
        """
        wanted = sorted(artifact.manifest.files if names is None else names)

        def one(name: str) -> Path:
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            self._fetch_file(artifact, name, target)
            return target

        with ThreadPoolExecutor(_PARALLEL) as pool:
            return dict(zip(wanted, pool.map(one, wanted), strict=True))

    def read(self, artifact: Artifact, name: str) -> bytes:
        """One small file's bytes, checked (raises DigestMismatchError)."""
        entry = _declared(artifact, name)
        key = self.file_key(artifact, name)
        try:
            body = self.bucket.get(key).body
        except AbsentError:
            raise DigestMismatchError(f"s3://{self.bucket.name}/{key}: the file is gone") from None
        self._check(key, FileEntry(size=len(body), sha256=digest(body)), entry)
        return body

    def file_key(self, artifact: Artifact, name: str) -> str:
        """The object key of one file of an artifact."""
        return f"{self._prefix_of(artifact.ref)}/{artifact.manifest.attempt}/{name}"

    def _fetch_file(self, artifact: Artifact, name: str, target: Path) -> None:
        entry = _declared(artifact, name)
        key = self.file_key(artifact, name)
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        try:
            with partial.open("wb") as file:
                for _ in self.bucket.stream(key, file):
                    pass
            self._check(key, _entry(partial), entry)
            partial.replace(target)
        except AbsentError:
            raise DigestMismatchError(f"s3://{self.bucket.name}/{key}: the file is gone") from None
        finally:
            partial.unlink(missing_ok=True)

    def _check(self, key: str, found: FileEntry, expected: FileEntry) -> None:
        if found != expected:
            raise DigestMismatchError(
                f"s3://{self.bucket.name}/{key}: read {found.size} bytes with SHA-256 "
                f"{found.sha256[:16]}…, the manifest says {expected.size} bytes with "
                f"{expected.sha256[:16]}…: the file is damaged or was changed. Do not use it."
            )

    def _artifact(self, prefix: str, body: bytes) -> Artifact:
        manifest = Manifest.model_validate_json(body)
        ref = ArtifactRef(
            kind=manifest.kind,
            key=manifest.key,
            uri=f"s3://{self.bucket.name}/{prefix}",
            digest=digest(body),
        )
        return Artifact(ref, manifest)

    def _prefix_of(self, ref: ArtifactRef) -> str:
        return ref.uri.removeprefix(f"s3://{self.bucket.name}/")


def new_attempt() -> str:
    """A name that no other attempt has."""
    return uuid.uuid4().hex


def content_type(name: str) -> str:
    """The media type that a browser needs to show a report."""
    suffix = Path(name).suffix
    return _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _prefix(pipeline: str, kind: str, key: str) -> str:
    return f"{pipeline}/artifacts/{kind}/{key}"


def _declared(artifact: Artifact, name: str) -> FileEntry:
    try:
        return artifact.manifest.files[name]
    except KeyError:
        raise DigestMismatchError(
            f"{artifact.ref.uri} has no file {name!r}; it has {sorted(artifact.manifest.files)}"
        ) from None


def _entry(path: Path) -> FileEntry:
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(size=path.stat().st_size, sha256=checksum)
