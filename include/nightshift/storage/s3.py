"""A thin, typed layer over boto3: conditional writes, and errors told apart by kind.

Everything that Nightshift keeps goes through these few verbs, so that "the server is away"
is one error (retryable) wherever it happens, and "somebody else wrote it first" is a value.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from nightshift.errors import UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ABSENT = {"404", "NoSuchKey", "NoSuchVersion", "NotFound"}
# 409 is S3's answer to two conditional writes at once: one of them won, so the loser must look.
_PRECONDITION = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
_REFUSED = {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket"}


class AbsentError(Exception):
    """No object has this key (or this version)."""


class PreconditionError(Exception):
    """A conditional write lost: the object exists already, or has changed since it was read."""


@dataclass(frozen=True)
class Listed:
    """One object of a listing."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True)
class Version:
    """The current version of one object."""

    key: str
    version_id: str | None
    """None where the bucket keeps no versions."""
    size: int
    etag: str


@dataclass(frozen=True)
class Read:
    """An object's bytes with the tag that a conditional overwrite must name."""

    body: bytes
    etag: str
    version_id: str | None


class Bucket:
    """One bucket. Credentials and endpoint come from the environment alone (boto3's own names).

    Every method raises :class:`UnavailableError` where the server cannot be reached, answers
    that it cannot serve, or refuses the credentials.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def client(self) -> S3Client:
        """The boto3 client, made when first used: importing boto3 costs a third of a second."""
        import boto3
        from botocore.config import Config

        # Attempts stay few: a step that waits for a dead server holds a worker; Airflow waits.
        config = Config(
            retries={"mode": "standard", "total_max_attempts": 4},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=16,
            s3={"addressing_style": "path"},
        )
        # A session of its own: the default one keeps the first credentials that a process finds,
        # so keys that were changed since would never be read.
        return boto3.Session().client("s3", config=config)

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Turn boto3's errors about ``what`` (a key) into those of this module."""
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"s3://{self.name}/{what}"
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _ABSENT:
                raise AbsentError(where) from error
            if code in _PRECONDITION:
                raise PreconditionError(where) from error
            hint = "check the S3 credentials and the bucket" if code in _REFUSED else "try again"
            raise UnavailableError(
                f"{where}: the object store answered {code or error}; {hint}.", code=code
            ) from error
        except BotoCoreError as error:
            raise UnavailableError(
                f"{where}: the object store at "
                f"{os.environ.get('AWS_ENDPOINT_URL_S3', 'AWS')} does not answer "
                f"({type(error).__name__}). It is retried; if it stays so, see that it runs."
            ) from error

    def get(self, key: str, version_id: str | None = None) -> Read:
        """Read one object whole.

        Raises:
            AbsentError: There is no such object.
        """
        extra: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        with self.errors(key):
            answer = self.client.get_object(Bucket=self.name, Key=key, **extra)
            return Read(answer["Body"].read(), answer["ETag"], answer.get("VersionId"))

    def get_json(self, key: str) -> Any:
        """Read one object as JSON (raises AbsentError)."""
        return json.loads(self.get(key).body)

    def put(
        self, key: str, body: bytes, *, content_type: str = "application/octet-stream"
    ) -> str | None:
        """Write one object, replacing what is there; returns its version id, where kept."""
        with self.errors(key):
            answer = self.client.put_object(
                Bucket=self.name, Key=key, Body=body, ContentType=content_type
            )
        return answer.get("VersionId")

    def create(self, key: str, body: bytes, *, content_type: str = "application/json") -> bool:
        """Write one object only if none is there; False where another was first.

        A retry inside boto3 can find the object that its own lost first try wrote. The caller
        must therefore compare what is there with what it meant to write before it calls itself
        the loser.
        """
        with self.errors(key):
            try:
                self.client.put_object(
                    Bucket=self.name, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*"
                )
            except self.client.exceptions.ClientError as error:
                if str(error.response.get("Error", {}).get("Code", "")) in _PRECONDITION:
                    return False
                raise
        return True

    def replace(self, key: str, body: bytes, *, etag: str) -> str:
        """Overwrite an object only if it still has ``etag``; returns the new tag.

        Raises:
            PreconditionError: Somebody changed it since it was read.
        """
        with self.errors(key):
            answer = self.client.put_object(Bucket=self.name, Key=key, Body=body, IfMatch=etag)
        return answer["ETag"]

    def upload(self, key: str, path: Path, *, content_type: str) -> None:
        """Upload a file, in parts where it is large, never whole in memory."""
        from boto3.exceptions import S3UploadFailedError

        with self.errors(key):
            try:
                self.client.upload_file(
                    str(path), self.name, key, ExtraArgs={"ContentType": content_type}
                )
            except S3UploadFailedError as error:
                raise UnavailableError(f"s3://{self.name}/{key}: upload failed: {error}") from error

    def upload_stream(self, key: str, source: IO[bytes]) -> None:
        """Upload what a stream gives, in parts where it is long, never whole in memory."""
        with self.errors(key):
            self.client.upload_fileobj(
                source,
                self.name,
                key,
                ExtraArgs={"ContentType": "application/octet-stream"},
            )

    @contextmanager
    def reading(self, key: str) -> Iterator[IO[bytes]]:
        """An object's bytes as a stream, while the block lasts (raises AbsentError)."""
        with self.errors(key):
            body = self.client.get_object(Bucket=self.name, Key=key)["Body"]
            try:
                yield cast(IO[bytes], body)
            finally:
                body.close()

    def stream(self, key: str, into: IO[bytes], *, version_id: str | None = None) -> Iterator[int]:
        """Copy an object into a file in chunks, yielding each chunk's size (raises AbsentError)."""
        extra: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        with self.errors(key):
            body = self.client.get_object(Bucket=self.name, Key=key, **extra)["Body"]
            for chunk in body.iter_chunks(1 << 20):
                into.write(chunk)
                yield len(chunk)

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""
        try:
            with self.errors(key):
                self.client.head_object(Bucket=self.name, Key=key)
        except AbsentError:
            return False
        return True

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[Listed]:
        """All objects under a prefix, in key order."""
        with self.errors(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=prefix, StartAfter=start_after
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    yield Listed(item["Key"], item["Size"], item["ETag"])

    def folders(self, prefix: str) -> Iterator[str]:
        """Each distinct ``<prefix><name>/`` that has an object below it, in order."""
        with self.errors(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=prefix, Delimiter="/"
            )
            for page in pages:
                for item in page.get("CommonPrefixes", ()):
                    yield item["Prefix"]

    def versions(self, prefix: str, *, start_after: str = "") -> Iterator[Version]:
        """The current version of all objects under a prefix, in key order; deleted ones left out.

        Where the bucket keeps no versions, the objects come without a version id.
        """
        with self.errors(prefix):
            # Not in the paginator's typed signature; botocore hands it to the first request.
            where: dict[str, Any] = {"KeyMarker": start_after} if start_after else {}
            pages = self.client.get_paginator("list_object_versions").paginate(
                Bucket=self.name, Prefix=prefix, **where
            )
            for page in pages:
                for item in page.get("Versions", ()):
                    if item["IsLatest"]:
                        version = None if item["VersionId"] == "null" else item["VersionId"]
                        yield Version(item["Key"], version, item["Size"], item["ETag"])

    def delete(self, key: str) -> None:
        """Remove one object (its current version). Only retention and tests call this."""
        with self.errors(key):
            self.client.delete_object(Bucket=self.name, Key=key)


def artifact_bucket() -> Bucket:
    """The bucket of artifacts and release logs: ``NIGHTSHIFT_BUCKET``."""
    return Bucket(os.environ.get("NIGHTSHIFT_BUCKET", "nightshift"))


def lake_bucket() -> Bucket:
    """The versioned bucket of the lake: ``NIGHTSHIFT_LAKE_BUCKET``."""
    return Bucket(os.environ.get("NIGHTSHIFT_LAKE_BUCKET", "lake"))
