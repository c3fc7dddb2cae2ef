"""Artifacts in S3: files first, the manifest last, by a write that only one attempt can win.

Layout, below ``s3://<bucket>/<pipeline>/artifacts/<kind>/<key>/``::

    <attempt>/<file> …     each attempt writes under its own name, so attempts never touch
    manifest.json          written with If-None-Match: *, names the attempt that won

Without a manifest there is no artifact. Readers trust the manifest alone and check every digest.

Where a key is set, files of :data:`MODEL_KINDS` are encrypted on their way to S3, bound to
pipeline, kind, the artifact's key and the file's name: put in another's place, a file does not
open. Digests stay those of the plain bytes. A version's number comes later and is bound to its
artifact by its signature, which covers those bytes and the number (``signing/versions.py``).
"""

from __future__ import annotations

import hashlib
import io
import mimetypes
import os
import shutil
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from nightshift.artifacts.keys import digest
from nightshift.artifacts.manifest import (
    MANIFEST,
    MODEL_KINDS,
    ArtifactRef,
    FileEntry,
    Manifest,
)
from nightshift.encryption.envelope import CHUNK_BYTES, TamperedError, decrypt, encrypting
from nightshift.encryption.keys import ModelKey, ModelKeys, configured_keys
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

    Methods raise :class:`nightshift.errors.UnavailableError` where the object store is away, and
    :class:`nightshift.errors.BadDefinitionError` where an encrypted artifact needs a key that this
    process does not have. Keys come from the environment, as the bucket's credentials do.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    @cached_property
    def _keys(self) -> ModelKeys:
        """Read when first needed: most processes never touch a model."""
        return configured_keys(os.environ)

    def key_for(self, kind: str) -> ModelKey | None:
        """What new artifacts of a kind are encrypted with; None where they are not.

        Raises:
            BadDefinitionError: A key that a setting names cannot be used.
        """
        return self._keys.current if kind in MODEL_KINDS else None

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
        key = self.key_for(draft.kind)
        if key is None:
            told: dict[str, object] = {"files": self.upload(f"{prefix}/{draft.attempt}", folder)}
        else:
            files = self._upload_encrypted(draft, folder, key)
            told = {"files": files, "encrypted_with": key.name}
        body = draft.model_copy(update=told).model_dump_json(indent=1).encode()
        # The commit: nothing before this line is visible, nothing after it changes anything.
        self.bucket.create(f"{prefix}/{MANIFEST}", body)
        committed = self.bucket.get(f"{prefix}/{MANIFEST}").body
        return self._artifact(prefix, committed)

    def upload(self, prefix: str, folder: Path) -> dict[str, FileEntry]:
        """Upload a folder's files as they are; returns each file's size and digest."""

        def one(name: str) -> FileEntry:
            path = folder / name
            entry = _entry(path)
            self.bucket.upload(f"{prefix}/{name}", path, content_type=content_type(name))
            return entry

        names = _names(folder)
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return dict(zip(names, pool.map(one, names), strict=True))

    def _upload_encrypted(
        self, draft: Manifest, folder: Path, key: ModelKey
    ) -> dict[str, FileEntry]:
        prefix = f"{_prefix(draft.pipeline, draft.kind, draft.key)}/{draft.attempt}"
        _ = key.provider  # Once, before the threads: it may make a client of boto3.

        def one(name: str) -> FileEntry:
            path = folder / name
            entry = _entry(path)
            with path.open("rb") as plain:
                sealed = encrypting(plain, key, _context(draft, name))
                self.bucket.upload_stream(f"{prefix}/{name}", sealed)
            return entry

        names = _names(folder)
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
        key = self._key_of(artifact)

        def one(name: str) -> Path:
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            self._fetch_file(artifact, name, key, target)
            return target

        with ThreadPoolExecutor(_PARALLEL) as pool:
            return dict(zip(wanted, pool.map(one, wanted), strict=True))

    def read(self, artifact: Artifact, name: str) -> bytes:
        """One small file's bytes, checked (raises DigestMismatchError)."""
        plain = io.BytesIO()
        self._copy(artifact, name, self._key_of(artifact), plain)
        body = plain.getvalue()
        self._check(artifact, name, FileEntry(size=len(body), sha256=digest(body)))
        return body

    def file_key(self, artifact: Artifact, name: str) -> str:
        """The object key of one file of an artifact."""
        return f"{self._prefix_of(artifact.ref)}/{artifact.manifest.attempt}/{name}"

    def _fetch_file(
        self, artifact: Artifact, name: str, key: ModelKey | None, target: Path
    ) -> None:
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        try:
            with partial.open("wb") as file:
                self._copy(artifact, name, key, file)
            self._check(artifact, name, _entry(partial))
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def _copy(self, artifact: Artifact, name: str, key: ModelKey | None, target: IO[bytes]) -> None:
        """Write a file's plain bytes, their digest not yet checked."""
        _declared(artifact, name)
        place = self.file_key(artifact, name)
        try:
            with self.bucket.reading(place) as body:
                if key is None:
                    shutil.copyfileobj(body, target, CHUNK_BYTES)
                else:
                    decrypt(body, target, key, _context(artifact.manifest, name))
        except AbsentError:
            raise DigestMismatchError(
                f"s3://{self.bucket.name}/{place}: the file is gone"
            ) from None
        except TamperedError as error:
            raise DigestMismatchError(
                f"s3://{self.bucket.name}/{place}: {error}: the file is damaged or was changed. "
                "Do not use it."
            ) from error

    def _key_of(self, artifact: Artifact) -> ModelKey | None:
        """What opens an artifact's files; None where they are plain."""
        name = artifact.manifest.encrypted_with
        if not name:
            return None
        key = self._keys.named(name, artifact.ref.uri)
        _ = key.provider  # Once, before threads: it may make a client of boto3.
        return key

    def _check(self, artifact: Artifact, name: str, found: FileEntry) -> None:
        expected = artifact.manifest.files[name]
        if found != expected:
            place = self.file_key(artifact, name)
            raise DigestMismatchError(
                f"s3://{self.bucket.name}/{place}: read {found.size} bytes with SHA-256 "
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


def _names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _context(manifest: Manifest, name: str) -> dict[str, str]:
    """What an encrypted file says that it is."""
    told = {"pipeline": manifest.pipeline, "kind": manifest.kind}
    return {**told, "artifact": manifest.key, "file": name}


def _declared(artifact: Artifact, name: str) -> None:
    if name not in artifact.manifest.files:
        raise DigestMismatchError(
            f"{artifact.ref.uri} has no file {name!r}; it has {sorted(artifact.manifest.files)}"
        )


def _entry(path: Path) -> FileEntry:
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(size=path.stat().st_size, sha256=checksum)
