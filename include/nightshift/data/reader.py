"""Read a snapshot's pinned files: exactly those bytes, column by column."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
    """Copy one part's files from the lake (as :func:`download_files`)."""
    return download_files(snapshot.bucket, snapshot.split(split), into)


def download_files(
    bucket_name: str, files: Sequence[PinnedFile], into: Path
) -> list[tuple[PinnedFile, Path]]:
    """Copy pinned files from the lake, each checked against its pinned digest.

    Returns:
        Each pinned file with its local path, in order of date.

    Raises:
        BadDataError: A pinned version is no longer in the lake.
        DigestMismatchError: The lake gave other bytes than were pinned.
    """
    bucket = Bucket(bucket_name)
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
    """One part as a table in memory, with these columns in this order.

    Types are the same whoever wrote the files: see :func:`usual_type`.

    Raises:
        BadDataError: A file's pages are damaged, or it lacks a column.
    """
    import pyarrow as pa

    return pa.concat_tables(_read_file(file, path, columns) for file, path in files)


def iter_batches(
    files: Sequence[tuple[PinnedFile, Path]],
    columns: Sequence[str],
    rows: int = BATCH_ROWS,
) -> Iterator[pa.RecordBatch]:
    """One part as record batches of at most ``rows`` rows: memory stays flat however long it is.

    Types and errors are those of :func:`read_table`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file, path in files:
        with _damage(file, columns):
            for batch in pq.ParquetFile(path).iter_batches(batch_size=rows, columns=list(columns)):
                table = _usual(pa.Table.from_batches([batch]), columns).combine_chunks()
                yield from table.to_batches()


def usual_type(type_: pa.DataType) -> pa.DataType:
    """The one Arrow type of each family: int64, float64, string, binary (dates are ISO text)."""
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        return usual_type(type_.value_type)
    if pa.types.is_integer(type_):
        return pa.int64()
    if pa.types.is_floating(type_):
        return pa.float64()
    if pa.types.is_date(type_) or pa.types.is_large_string(type_):
        return pa.string()
    if pa.types.is_large_binary(type_) or pa.types.is_fixed_size_binary(type_):
        return pa.binary()
    return type_


def _read_file(file: PinnedFile, path: Path, columns: Sequence[str]) -> pa.Table:
    import pyarrow.parquet as pq

    with _damage(file, columns):
        return _usual(pq.ParquetFile(path).read(columns=list(columns)), columns)


def _usual(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The columns in the order asked for, each cast to its family's usual type."""
    import pyarrow as pa

    table = table.select(list(columns))
    return table.cast(pa.schema([(f.name, usual_type(f.type)) for f in table.schema]))


@contextmanager
def _damage(file: PinnedFile, columns: Sequence[str]) -> Iterator[None]:
    """Tell a file that cannot be read as what it is: bad data, with the file's name."""
    import pyarrow as pa

    try:
        yield
    except KeyError:
        raise BadDataError(
            f"{file.key}: a column is missing; wanted are {', '.join(columns)}. Repair the "
            "partition, then trigger the night again with force.",
            file=file.key,
        ) from None
    except (pa.ArrowException, OSError) as error:
        raise BadDataError(
            f"{file.key}: the file of {file.date} cannot be read: {str(error).splitlines()[0]}. "
            "Write it again, then trigger the night again with force.",
            file=file.key,
        ) from error
