"""The one object that makes an artifact exist."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

MANIFEST = "manifest.json"
MODEL_KINDS = frozenset({"model", "variant", "edge", "checkpoint"})
"""Kinds of artifacts from which a model can be taken: a SavedModel and the Keras model's weights, a
smaller variant, a device's bundle, the variables of a training under way. They are encrypted where
a key is set. Everything else tells of models and data (metrics, predictions, reports), and is read
by processes that have no key."""


class FileEntry(BaseModel, frozen=True):
    """One file of an artifact: its size in bytes and its SHA-256 in hexadecimal.

    Of the plain file, whatever lies in S3: so a signature holds for encrypted files too.
    """

    size: int
    sha256: str


class ArtifactRef(BaseModel):
    """What travels between tasks: where an artifact is, and the digest of its manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    key: str
    uri: str
    """``s3://bucket/pipeline/artifacts/kind/key``"""
    digest: str
    """SHA-256 of the manifest's bytes: it pins every file below it."""


class Manifest(BaseModel):
    """The winning attempt and everything that an auditor asks of it later."""

    model_config = ConfigDict(frozen=True)

    pipeline: str
    kind: str
    key: str
    attempt: str
    files: dict[str, FileEntry]
    encrypted_with: str = ""
    """Name of the key that opens the files in S3; empty where they are plain."""
    inputs: dict[str, ArtifactRef] = {}
    parameters: dict[str, Any] = {}
    code: dict[str, str] = {}
    code_version: str = ""
    by: str = ""
    """Who or what ran it, such as an Airflow run id or a user of the command."""
    night: str = ""
    created: datetime
    metrics: dict[str, float] = {}
    """Numbers for the UI and for MLflow."""
    facts: dict[str, Any] = {}
    """Small JSON values that later steps and reports read without opening a file."""
    reports: dict[str, str] = {}
    """Title of each report to its file's name in this artifact."""
