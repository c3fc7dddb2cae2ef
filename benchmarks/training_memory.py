"""Peak memory of training on 1 and on 10 million rows; rows a second from S3, and by pyarrow alone.

``benchmarks/training_memory [MILLIONS …]`` (1 10): real flights repeated under later dates. Each
size is one training of one epoch with a large batch (reading is what is measured); its process's
peak is the kernel's own (``ru_maxrss``). Beside it the same Parquet is read from S3 by pyarrow
alone: downloaded, decoded, thrown away.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import date, timedelta

import pyarrow as pa
from training_rig import Rig, processor, rig

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.data.lake import parquet_bytes
from nightshift.data.pinned import Split
from nightshift.data.reader import read_snapshot
from nightshift.data.sources import flights

FIRST, DAYS, HOLDOUT = date(2014, 1, 1), 97, 7
BATCH = 8192

_CHILD = """
import json, resource, sys, time
from pathlib import Path
from nightshift.steps.contract import StepRequest
from nightshift.steps.run import execute
from nightshift.artifacts.store import ArtifactStore
from nightshift.storage.s3 import artifact_bucket
request = StepRequest.model_validate_json(Path(sys.argv[1]).read_bytes())
result = execute(request, ArtifactStore(artifact_bucket()))
assert result.error is None, result.error
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"peak": peak, "facts": result.facts}))
"""


def fill(bench: Rig, rows: int) -> None:
    """Write so many real flights into the lake, as many on each day."""
    table = pa.concat_tables(part for _, part in flights.days())
    each = -(-rows // (DAYS - HOLDOUT))
    at = table.schema.get_field_index("date")
    for number in range(DAYS):
        day = FIRST + timedelta(number)
        start = number * each % table.num_rows
        parts = [table.slice(start, each)]
        while (missing := each - sum(part.num_rows for part in parts)) > 0:
            parts.append(table.slice(0, missing))
        whole = pa.concat_tables(parts)
        dates = pa.array([day] * each).cast(table.schema.field(at).type)
        bench.lake.bucket.put(
            bench.lake.partition(day) + "part-0.parquet",
            parquet_bytes(whole.set_column(at, table.schema.field(at), dates)),
        )


def train(bench: Rig, snapshot: ArtifactRef, night: date) -> dict[str, float]:
    """One epoch in a process of its own."""
    request = bench.train_request(
        snapshot, night=night, epochs=1, global_batch_size=BATCH, nonce=str(time.time())
    )
    path = bench.lake.bucket.name + "-request.json"
    with open(path, "w", encoding="utf-8") as file:
        file.write(request.model_dump_json())
    try:
        child = subprocess.run(
            [sys.executable, "-c", _CHILD, path], capture_output=True, text=True, check=False
        )
    finally:
        subprocess.run(["rm", "-f", path], check=True)
    if child.returncode:
        raise SystemExit(child.stderr[-3000:])
    told = json.loads(child.stdout.splitlines()[-1])
    return {
        "peak": told["peak"],
        "rows": told["facts"]["rows"],
        "epoch": told["facts"]["epochs"][0]["seconds"],
        "in_memory": told["facts"]["in_memory"],
    }


def reading(bench: Rig, snapshot: ArtifactRef) -> tuple[float, float]:
    """Rows a second: as training's batches, without a model; and by pyarrow alone."""
    import io
    import tempfile
    from pathlib import Path

    import pyarrow.parquet as pq

    from nightshift.data.stream import FileStream
    from nightshift.training.dataset import from_files
    from nightshift.training.examples import ExampleReader
    from nightshift.training.order import Order, pool_rows_of

    pinned = read_snapshot(bench.store, bench.store.open(snapshot))
    files = pinned.split(Split.TRAIN)
    reader = ExampleReader(bench.definition.features, bench.definition.label)
    with tempfile.TemporaryDirectory() as folder:
        stream = FileStream(pinned, Path(folder))
        rows = [
            sum(batch.num_rows for batch in reader.batches([copy])) for copy in stream.read(files)
        ]
    order = Order(tuple(rows), BATCH, 1, pool_rows_of(reader.features))
    with tempfile.TemporaryDirectory() as folder:
        stream = FileStream(pinned, Path(folder))
        started = time.monotonic()
        batches = from_files(
            reader, lambda numbers: stream.read([files[n] for n in numbers]), order, epochs=1
        )
        seen = sum(int(labels.shape[0]) for _, labels in batches.dataset)
        ours = seen / (time.monotonic() - started)
    started = time.monotonic()
    decoded = 0
    for file in files:
        body = bench.lake.bucket.get(file.key, file.version_id).body
        decoded += pq.read_table(io.BytesIO(body), columns=reader.columns).num_rows
    return ours, decoded / (time.monotonic() - started)


def main() -> None:
    """Measure and print a table in Markdown."""
    millions = [float(word) for word in sys.argv[1:]] or [1.0, 10.0]
    night = FIRST + timedelta(DAYS - 1)
    print(f"{processor()}\n")
    print(
        "| train rows | kept in memory | peak | epoch | rows/s training | rows/s reading | "
        "rows/s pyarrow alone |\n|---|---|---|---|---|---|---|",
        flush=True,
    )
    peaks = []
    with rig(DAYS) as bench:
        for size in millions:
            fill(bench, int(size * 1e6))
            snapshot = bench.snapshot(night, nonce=str(size))
            found = train(bench, snapshot, night)
            ours, alone = reading(bench, snapshot)
            peaks.append(found["peak"])
            print(
                f"| {found['rows']:,.0f} | {'yes' if found['in_memory'] else 'no'} | "
                f"{found['peak']:,.0f} MB | {found['epoch']:.1f} s | "
                f"{found['rows'] / found['epoch']:,.0f} | {ours:,.0f} | {alone:,.0f} |",
                flush=True,
            )
    print(f"\nlargest peak less smallest: {max(peaks) - min(peaks):,.0f} MB")


if __name__ == "__main__":
    main()
