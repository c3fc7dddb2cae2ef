"""Run as a program: commits an artifact and kills itself at one of its writes to S3.

``python killed_writer.py <key> <folder> <write>``: the process dies by SIGKILL right before the
``write``-th object (0 is the first) reaches the object store, however the store gets there.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from nightshift.artifacts.store import ArtifactStore
from nightshift.storage.s3 import artifact_bucket
from tests.integration.artifacts.drafts import draft


def main(key: str, folder: Path, deadly: int) -> None:
    """Commit, and die at the given write."""
    bucket = artifact_bucket()
    writes = 0

    def count(**_: Any) -> None:
        nonlocal writes
        if writes == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        writes += 1

    # Every request that writes passes here just before it is sent.
    bucket.client.meta.events.register("before-send.s3.PutObject", count)
    ArtifactStore(bucket).commit(draft(key), folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
