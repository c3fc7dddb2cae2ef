"""Immutable artifacts: written by an attempt, made visible by one conditional write."""

from nightshift.artifacts.keys import derive_key
from nightshift.artifacts.manifest import ArtifactRef, FileEntry, Manifest
from nightshift.artifacts.store import Artifact, ArtifactStore

__all__ = ["Artifact", "ArtifactRef", "ArtifactStore", "FileEntry", "Manifest", "derive_key"]
