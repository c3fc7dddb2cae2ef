"""Addresses of pages behind Airflow's login, from S3 URIs."""

from __future__ import annotations

from urllib.parse import quote

from nightshift.card.files import card_page

__all__ = [
    "PREFIX",
    "artifact_page",
    "card_page",
    "object_page",
    "recording_page",
    "release_page",
]

PREFIX = "/nightshift"


def object_page(uri: str) -> str:
    """Where a browser sees one object of the artifact bucket (``s3://bucket/key``)."""
    return f"{PREFIX}/objects/{quote(_key(uri))}"


def artifact_page(uri: str) -> str:
    """Where a browser sees an artifact's manifest and files."""
    return f"{PREFIX}/artifacts/{quote(_key(uri))}"


def recording_page(uri: str) -> str:
    """Where a browser sees what a training recorded for TensorBoard."""
    return f"{PREFIX}/recordings/{quote(_key(uri))}"


def release_page(pipeline: str) -> str:
    """Where a browser sees the newest release of a pipeline as it goes."""
    return f"{PREFIX}/releases/{pipeline}"


def _key(uri: str) -> str:
    return uri.removeprefix("s3://").partition("/")[2]
