"""Fill the lake with the real data of a shipped pipeline: ``python -m nightshift.data.seed NAME``.

May run again at any time: a day that is in the lake with the same bytes is left alone, and so
keeps its version.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import date

from nightshift.data.lake import Lake
from nightshift.errors import NightshiftError
from nightshift.storage.s3 import lake_bucket

SOURCES = {
    "employment": "nightshift.data.sources.employment",
    "fashion": "nightshift.data.sources.fashion",
    "flights": "nightshift.data.sources.flights",
}
"""Dataset to the module whose ``days()`` gives its partitions."""
_PARALLEL = 8


@dataclass(frozen=True)
class Seeded:
    """What a seed did."""

    days: int
    written: int
    rows: int


def seed(
    lake: Lake,
    *,
    first: date = date.min,
    last: date = date.max,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Seeded:
    """Write the dataset's days from ``first`` to ``last`` that the lake does not have as they are.

    Args:
        lake: The dataset to fill; its name chooses the source.
        first: First day wanted.
        last: Last day wanted.
        progress: Told days done and days in all, after each.
    """
    source = importlib.import_module(SOURCES[lake.dataset])
    lake.ensure()
    wanted = [(day, table) for day, table in source.days() if first <= day <= last]
    present = {v.key: v.etag for files in lake.list(date.min, date.max).values() for v in files}
    written = done = 0
    with ThreadPoolExecutor(_PARALLEL) as pool:
        writes = [
            pool.submit(lake.write, day, table, etag=present.get(_first_file(lake, day)))
            for day, table in wanted
        ]
        for write in as_completed(writes):
            written += write.result()
            done += 1
            progress(done, len(wanted))
    return Seeded(len(wanted), written, sum(table.num_rows for _, table in wanted))


def _first_file(lake: Lake, day: date) -> str:
    return lake.partition(day) + "part-0.parquet"


def _show(done: int, total: int) -> None:
    if sys.stdout.isatty():
        print(f"\r{done}/{total} days", end="\n" if done == total else "", flush=True)
    elif done == total or done % 100 == 0:
        print(f"{done}/{total} days", flush=True)


def main(arguments: Iterable[str] | None = None) -> int:
    """The command; 0 where the lake now holds the data."""
    parser = argparse.ArgumentParser(prog="nightshift.data.seed", description=__doc__)
    parser.add_argument("dataset", choices=sorted(SOURCES), help="which data to write")
    options = parser.parse_args(None if arguments is None else list(arguments))
    started = time.monotonic()
    lake = Lake(lake_bucket(), options.dataset)
    try:
        result = seed(lake, progress=_show)
    except NightshiftError as error:
        print(error.message, file=sys.stderr)
        return 1
    print(
        f"{lake.uri(lake.dataset)}: {result.rows:,} rows in {result.days} days, "
        f"{result.written} written, {result.days - result.written} unchanged, "
        f"{time.monotonic() - started:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
