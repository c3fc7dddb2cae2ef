"""Pinned files of the lake one after another, fetched ahead, as often as training wants them."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from nightshift.data.pinned import PinnedFile, Snapshot
from nightshift.data.reader import download_file
from nightshift.storage.s3 import Bucket

KEPT_BYTES = 2**30
"""Parquet files of a window up to this size stay on disk for the next epoch."""

_AHEAD = 4
"""Files that are fetched while one is read."""


class FileStream:
    """Copies files from the lake when they are about to be read, each checked by its digest.

    The disk holds the whole window where it is small, else only the few files at hand; memory
    never holds any.

    Args:
        snapshot: Names the bucket.
        folder: Where copies lie; made where it is missing.
    """

    def __init__(self, snapshot: Snapshot, folder: Path) -> None:
        self._snapshot, self._folder = snapshot, folder
        self._bucket = Bucket(snapshot.bucket)
        self._keep = sum(file.size for file in snapshot.files) <= KEPT_BYTES
        self._locks: dict[str, threading.Lock] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def again(self) -> FileStream:
        """A stream of the same files with connections and locks of its own: for a forked process.

        Copies that stay are shared: each is complete once it has its name.
        """
        own = self._folder / str(os.getpid())
        return FileStream(self._snapshot, self._folder if self._keep else own)

    def read(self, files: Sequence[PinnedFile]) -> Iterator[tuple[PinnedFile, Path]]:
        """Each file with its local copy, which is there until the next one is asked for.

        Raises:
            BadDataError: A pinned version is no longer in the lake.
            DigestMismatchError: The lake gave other bytes than were pinned.
        """
        waiting: deque[tuple[PinnedFile, Future[Path]]] = deque()
        rest = iter(files)
        with ThreadPoolExecutor(_AHEAD) as pool:
            try:
                while True:
                    while len(waiting) < _AHEAD and (file := next(rest, None)) is not None:
                        waiting.append((file, pool.submit(self._fetch, file)))
                    if not waiting:
                        return
                    file, copied = waiting.popleft()
                    path = copied.result()
                    yield file, path
                    if not self._keep:
                        path.unlink(missing_ok=True)
            finally:
                for _, copied in waiting:
                    copied.cancel()

    def _fetch(self, file: PinnedFile) -> Path:
        path = self._folder / f"{file.sha256}.parquet"
        with self._locks.setdefault(file.sha256, threading.Lock()):
            if not path.exists():
                partial = path.with_suffix(f".{os.getpid()}.part")
                download_file(self._bucket, file, partial)
                partial.replace(path)
        return path
