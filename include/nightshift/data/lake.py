"""The lake: one folder per dataset, one partition per event date, every version kept."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from http import HTTPStatus
from typing import TYPE_CHECKING

from nightshift.storage.s3 import Bucket, Version

if TYPE_CHECKING:
    import pyarrow as pa

_PARTITION = re.compile(r"date=(\d{4}-\d{2}-\d{2})/")


class Lake:
    """One dataset in the lake: ``s3://<bucket>/<dataset>/date=YYYY-MM-DD/*.parquet``."""

    def __init__(self, bucket: Bucket, dataset: str) -> None:
        self.bucket = bucket
        self.dataset = dataset

    def partition(self, day: date) -> str:
        """The key prefix of one day's files."""
        return f"{self.dataset}/date={day.isoformat()}/"

    def uri(self, key: str) -> str:
        """The full address of one file or partition."""
        return f"s3://{self.bucket.name}/{key}"

    def day_of(self, key: str) -> date | None:
        """The day that a file belongs to; None where the key is not a partition's."""
        match = _PARTITION.match(key.removeprefix(f"{self.dataset}/"))
        try:
            return date.fromisoformat(match[1]) if match else None
        except ValueError:
            return None

    def list(self, first: date, last: date) -> Mapping[date, list[Version]]:
        """All files of the days from ``first`` to ``last``, both included, in key order.

        One listing whatever the number of days. Names that start with ``_`` or ``.`` are markers
        of whoever writes the lake (``_SUCCESS``), not data. Days without a file are absent.
        """
        found: dict[date, list[Version]] = defaultdict(list)
        start = self.partition(first).rstrip("/")
        for version in self.bucket.versions(f"{self.dataset}/date=", start_after=start):
            day = self.day_of(version.key)
            if day is None or version.key.rsplit("/", 1)[-1][:1] in ("_", ".", ""):
                continue
            if day > last:
                break
            found[day].append(version)
        return found

    def ensure(self) -> None:
        """Make the bucket, with versions kept, where it is not so: that takes more rights."""
        client, name = self.bucket.client, self.bucket.name
        with self.bucket.errors(""):
            if not self._bucket_is_there():
                client.create_bucket(Bucket=name)
            if client.get_bucket_versioning(Bucket=name).get("Status") != "Enabled":
                client.put_bucket_versioning(
                    Bucket=name, VersioningConfiguration={"Status": "Enabled"}
                )

    def _bucket_is_there(self) -> bool:
        try:
            self.bucket.client.head_bucket(Bucket=self.bucket.name)
        except self.bucket.client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.NOT_FOUND:
                raise
            return False
        return True

    def write(
        self,
        day: date,
        table: pa.Table,
        *,
        name: str = "part-0.parquet",
        etag: str | None = None,
    ) -> bool:
        """Write one partition's file; False where it already has exactly these bytes.

        Args:
            day: The partition.
            table: Its rows.
            name: The file's name in the partition.
            etag: The present file's tag, from a listing; an equal one saves the write, and so
                keeps the partition's version.
        """
        body = parquet_bytes(table)
        if etag and etag.strip('"') == hashlib.md5(body, usedforsecurity=False).hexdigest():
            return False
        self.bucket.put(
            self.partition(day) + name,
            body,
            content_type="application/vnd.apache.parquet",
        )
        return True


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as one Parquet file: the same bytes for the same rows and library version."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(None), sink, compression="zstd")
    return sink.getvalue().to_pybytes()
