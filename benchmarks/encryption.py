"""What encryption at rest costs: one file, committed and fetched, plain and encrypted.

``benchmarks/encryption [--megabytes 100] [--rounds 5]``: a SeaweedFS of its own, in turns, so that
what else the machine does meets both.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

from tests.integration.artifacts.drafts import draft
from tests.integration.servers import S3, SeaweedServer, make_buckets

from nightshift.artifacts.keys import digest
from nightshift.artifacts.store import ArtifactStore
from nightshift.encryption.keys import MODEL_KEY, ensure_key_file


def one(store: ArtifactStore, folder: Path, key: str) -> tuple[float, float]:
    """Seconds to commit a folder and to fetch it again."""
    with tempfile.TemporaryDirectory() as into:
        started = time.perf_counter()
        artifact = store.commit(draft(key), folder)
        committed = time.perf_counter()
        store.fetch(artifact, Path(into))
        return committed - started, time.perf_counter() - committed


def measure(store_of: dict[str, ArtifactStore], folder: Path, rounds: int) -> None:
    """Print the medians, the first round left out: it imports the libraries."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in store_of}
    for number in range(rounds + 1):
        for name, store in store_of.items():
            spent = one(store, folder, digest(f"{name}-{number}".encode())[:32])
            if number:
                seconds[name].append(spent)
    for name, rows in seconds.items():
        commit, fetch = (statistics.median(part) for part in zip(*rows, strict=True))
        print(f"{name:10} commit {commit:.2f} s  fetch {fetch:.2f} s  of {rounds} rounds")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"most memory of the process: {peak:.0f} MB")


def main() -> None:
    """Measure on a SeaweedFS of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home, folder = Path(name), Path(name, "model")
        folder.mkdir()
        with (folder / "variables.bin").open("wb") as file:
            for _ in range(given.megabytes):
                file.write(os.urandom(1 << 20))
        ensure_key_file(home / "model.key")
        with SeaweedServer(home / "seaweed").start() as server:
            s3 = S3(server.ready(), "nightshift", "lake")
            make_buckets(server.client_environment, s3.artifacts.name, s3.lake.name)
            os.environ.update(s3.environment)
            plain = ArtifactStore(s3.artifacts)
            plain.key_for("model")  # Reads the settings: none.
            os.environ[MODEL_KEY] = str(home / "model.key")
            encrypted = ArtifactStore(s3.artifacts)
            measure({"plain": plain, "encrypted": encrypted}, folder, given.rounds)


if __name__ == "__main__":
    main()
