"""Bring a version's files onto this host: pull, check every digest, rename into place.

Encrypted or not in the object store, here they are plain: a model server reads them. So they belong
to the agent's user alone.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from nightshift.artifacts.manifest import FileEntry
from nightshift.artifacts.store import ArtifactStore
from nightshift.errors import DigestMismatchError
from nightshift.release.candidate import Candidate
from nightshift.release.files import close_to_others, write_atomically
from nightshift.release.golden import GOLDEN_FILE, Golden
from nightshift.release.layout import HostLayout
from nightshift.release.record import Colour
from nightshift.signing.versions import SignatureRefusedError, TrustedKeys, signature_key
from nightshift.storage.s3 import AbsentError

SAVED_MODEL_FOLDER = "saved_model/"


class UnfitArtifactError(Exception):
    """The artifact itself can never be released: damaged, or without what a release needs."""


class Placed(BaseModel):
    """What the agent remembers of a version in its place."""

    model_config = ConfigDict(frozen=True)

    digest: str
    """Of the artifact's manifest: the same number with other bytes is another version."""
    files: dict[str, FileEntry]
    """By name below the version's folder."""
    golden: Golden
    signed: bool = False
    """Whether a trusted signature was found to be of these bytes."""


@dataclass(frozen=True)
class Placement:
    """One colour's versions of one pipeline on this host's disk.

    Attributes:
        layout: The host's folders.
        pipeline: Whose versions.
        colour: On which colour.
        trust: Keys of which one must have signed a version; None where nothing is signed.
    """

    layout: HostLayout
    pipeline: str
    colour: Colour
    trust: TrustedKeys | None = None

    def folder(self, version: int) -> Path:
        """Where the version's SavedModel lies."""
        return self.layout.base_path(self.colour, self.pipeline) / str(version)

    def remembered(self, candidate: Candidate) -> Placed | None:
        """What is known of the candidate's files, if they are in place (bytes unchecked)."""
        try:
            placed = Placed.model_validate_json(self._marker(candidate.version).read_bytes())
        except (OSError, ValidationError):
            return None
        there = (
            placed.digest == candidate.released.digest and self.folder(candidate.version).is_dir()
        )
        if self.trust is not None and not placed.signed:
            return None
        return placed if there else None

    def is_intact(self, candidate: Candidate, placed: Placed) -> bool:
        """Whether the files in place still have the digests that they came with."""
        folder = self.folder(candidate.version)
        return all(_has(folder / name, entry) for name, entry in placed.files.items())

    def pull(self, candidate: Candidate, store: ArtifactStore) -> Placed:
        """Download the candidate and put it in place.

        Raises:
            UnfitArtifactError: A digest differs, files are missing from the artifact, or it is
                not what a trusted key signed as this version.
            UnavailableError: The object store is away.
            BadDefinitionError: It is encrypted with a key that this host does not have.
            OSError: This host's disk is full or refuses.
        """
        incoming = self.layout.incoming(self.colour) / uuid.uuid4().hex
        try:
            placed = self._download(candidate, store, incoming)
            if self.trust is not None:
                self._check_signature(candidate, store, incoming, self.trust)
                placed = placed.model_copy(update={"signed": True})
            close_to_others(incoming)
            self._move_in(candidate.version, incoming / SAVED_MODEL_FOLDER, placed)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        return placed

    def others(self, keep: int | None) -> tuple[int, ...]:
        """Versions in place besides the one to keep."""
        base = self.layout.base_path(self.colour, self.pipeline)
        if not base.is_dir():
            return ()
        numbers = (int(path.name) for path in base.iterdir() if path.name.isdigit())
        return tuple(sorted(number for number in numbers if number != keep))

    def remove(self, version: int) -> None:
        """Delete a version: renamed away first, so that no server meets half of it."""
        self._marker(version).unlink(missing_ok=True)
        self._discard(self.folder(version))

    def _download(self, candidate: Candidate, store: ArtifactStore, into: Path) -> Placed:
        try:
            artifact = store.open(candidate.released)
            names = [n for n in artifact.manifest.files if n.startswith(SAVED_MODEL_FOLDER)]
            if not names:
                raise UnfitArtifactError(f"{candidate.released.uri} has no {SAVED_MODEL_FOLDER}")
            paths = store.fetch(artifact, into, names=[*names, GOLDEN_FILE])
            golden = Golden.model_validate_json(paths[GOLDEN_FILE].read_bytes())
        except DigestMismatchError as error:
            raise UnfitArtifactError(error.message) from error
        except ValidationError as error:
            raise UnfitArtifactError(f"{candidate.released.uri}/{GOLDEN_FILE}: {error}") from error
        entries = artifact.manifest.files
        files = {name.removeprefix(SAVED_MODEL_FOLDER): entries[name] for name in names}
        return Placed(digest=candidate.released.digest, files=files, golden=golden)

    def _check_signature(
        self, candidate: Candidate, store: ArtifactStore, folder: Path, trust: TrustedKeys
    ) -> None:
        key = signature_key(self.pipeline, candidate.version)
        try:
            signature = store.bucket.get(key).body
        except AbsentError:
            raise UnfitArtifactError(
                f"it is not signed: there is no s3://{store.bucket.name}/{key}. If it should be "
                f"released: ./nightshift sign {self.pipeline}@{candidate.version}"
            ) from None
        try:
            trust.check(folder, self.pipeline, candidate.version, signature)
        except SignatureRefusedError as error:
            raise UnfitArtifactError(str(error)) from error

    def _move_in(self, version: int, folder: Path, placed: Placed) -> None:
        target = self.folder(version)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._discard(target)
        # The note first: files in place that nobody vouches for would be served after a kill.
        write_atomically(self._marker(version), placed.model_dump_json())
        folder.rename(target)

    def _discard(self, folder: Path) -> None:
        if not folder.exists():
            return
        doomed = self.layout.incoming(self.colour) / uuid.uuid4().hex
        doomed.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def _marker(self, version: int) -> Path:
        return self.layout.placed_folder(self.colour, self.pipeline) / f"{version}.json"


def clear_incoming(layout: HostLayout) -> None:
    """Remove what downloads left behind when the agent was killed."""
    for colour in Colour:
        shutil.rmtree(layout.incoming(colour), ignore_errors=True)


def _has(path: Path, entry: FileEntry) -> bool:
    try:
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        return path.stat().st_size == entry.size and checksum == entry.sha256
    except OSError:
        return False
