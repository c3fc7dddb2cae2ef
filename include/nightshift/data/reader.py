"""Read a snapshot's pinned files: exactly those bytes, column by column."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.data.pinned import SNAPSHOT_FILE, PinnedFile, Snapshot, Split
from nightshift.errors import BadDataError, DigestMismatchError
from nightshift.storage.s3 import AbsentError, Bucket

if TYPE_CHECKING:
    import pyarrow as pa

    from nightshift.artifacts.store import Artifact, ArtifactStore

_PARALLEL = 8
BATCH_ROWS = 65_536


def read_snapshot(store: ArtifactStore, artifact: Artifact) -> Snapshot:
    """The snapshot that an artifact of kind ``snapshot`` holds."""
    return Snapshot.model_validate_json(store.read(artifact, SNAPSHOT_FILE))


def download(snapshot: Snapshot, split: Split, into: Path) -> list[tuple[PinnedFile, Path]]:
    """Copy one part's files from the lake, each checked against its pinned digest.

    Returns:
        Each pinned file with its local path, in order of date.

    Raises:
        BadDataError: A pinned version is no longer in the lake.
        DigestMismatchError: The lake gave other bytes than were pinned.
    """
    bucket = Bucket(snapshot.bucket)
    files = snapshot.split(split)
    into.mkdir(parents=True, exist_ok=True)

    def one(numbered: tuple[int, PinnedFile]) -> Path:
        number, file = numbered
        path = into / f"{number:06d}.parquet"
        download_file(bucket, file, path)
        return path

    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(zip(files, pool.map(one, enumerate(files)), strict=True))


def download_file(bucket: Bucket, file: PinnedFile, path: Path) -> None:
    """Copy one pinned file (raises as :func:`download`)."""
    try:
        with path.open("wb") as target:
            for _ in bucket.stream(file.key, target, version_id=file.version_id):
                pass
    except AbsentError:
        raise BadDataError(
            f"s3://{bucket.name}/{file.key}: version {file.version_id} is no longer in the lake, "
            "though a snapshot refers to it. Restore it, or trigger the night with force to pin "
            "what the lake holds now.",
            file=file.key,
        ) from None
    with path.open("rb") as written:
        found = hashlib.file_digest(written, "sha256").hexdigest()
    if found != file.sha256:
        raise DigestMismatchError(
            f"s3://{bucket.name}/{file.key}: SHA-256 is {found[:16]}…, the snapshot pinned "
            f"{file.sha256[:16]}…"
        )


def read_table(files: Sequence[tuple[PinnedFile, Path]], columns: Sequence[str]) -> pa.Table:
    """One part as a table in memory, with these columns in this order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pa.concat_tables(
        pq.ParquetFile(path).read(columns=list(columns)).select(list(columns)) for _, path in files
    )


def iter_batches(
    files: Sequence[tuple[PinnedFile, Path]], columns: Sequence[str], rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """One part as record batches of at most ``rows`` rows: memory stays flat however long it is."""
    import pyarrow.parquet as pq

    for _, path in files:
        yield from pq.ParquetFile(path).iter_batches(batch_size=rows, columns=list(columns))
