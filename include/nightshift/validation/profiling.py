"""Read the pinned window once, and count everything that is judged or shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from nightshift.data.pinned import PinnedFile, Snapshot, Split
from nightshift.data.reader import download, download_files, read_table
from nightshift.validation import beam, profile
from nightshift.validation.daily import DailyCheck
from nightshift.validation.day_sample import DaySample
from nightshift.validation.findings import Finding
from nightshift.validation.images import lengths_of_images
from nightshift.validation.repeats import Repeats
from nightshift.validation.schema import limits_of
from nightshift.validation.sliced import Slice, SliceCounting
from nightshift.validation.usual import Unusual, judge_newest

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2

    from nightshift.validation.profile import Statistics

_Files = list[tuple[PinnedFile, Path]]


@dataclass(frozen=True)
class Reading:
    """What is read of each row, and how.

    Attributes:
        schema: The curated schema.
        columns: All that it describes, apart from the date.
        features: What a request has.
        logged: What is kept of it.
        label: The label's column.
        slices: Columns whose values have statistics of their own.
        work: Scratch folder.
    """

    schema: schema_pb2.Schema
    columns: Sequence[str]
    features: Sequence[str]
    logged: Sequence[str]
    label: str
    slices: Sequence[str]
    work: Path


@dataclass(frozen=True)
class Profiled:
    """Everything computed about the window.

    Attributes:
        train: TFDV statistics of the rows to train on.
        holdout: Of the rows held out.
        newest: Of the night's own day, which is part of the holdout.
        requests: Of the logged serving requests; None where there are none.
        slices: Of the declared parts.
        findings: What the days broke, each judged by itself.
        unusual: What the newest day differs in from the others.
    """

    train: Statistics
    holdout: Statistics
    newest: Statistics
    requests: Statistics | None
    slices: list[Slice]
    findings: list[Finding]
    unusual: Unusual


def profile_window(snapshot: Snapshot, how: Reading) -> Profiled:
    """Copy the pinned files and count them."""
    counts = _Counts(snapshot, how)
    train = download(snapshot, Split.TRAIN, how.work / "train")
    holdout = download(snapshot, Split.HOLDOUT, how.work / "holdout")
    newest = [f for f in holdout if f[0].date == snapshot.night]
    return Profiled(
        train=_statistics(snapshot, Split.TRAIN, train, how, counts),
        holdout=_statistics(snapshot, Split.HOLDOUT, holdout, how, counts),
        newest=profile.statistics_of((read_table([f], how.columns) for f in newest), how.schema),
        requests=_requests(snapshot, how),
        slices=list(counts.slices.slices()),
        findings=[*counts.repeats.findings(), *counts.daily.findings()],
        unusual=judge_newest(counts.sample, how.label),
    )


class _Counts:
    """All that is counted beside TFDV's statistics while a file passes by."""

    def __init__(self, snapshot: Snapshot, how: Reading) -> None:
        self.daily = DailyCheck([x for x in limits_of(how.schema) if x.column in how.columns])
        self.sample = DaySample(len(snapshot.files))
        self.repeats = Repeats()
        self.slices = SliceCounting(how.slices, how.schema)

    def add(self, file: PinnedFile, table: pa.Table) -> pa.Table:
        """Count one file; returns its rows as TFDV is to see them."""
        self.sample.add(file, table)
        self.repeats.add(file, table)
        table = lengths_of_images(table)
        self.daily.add(file, table)
        self.slices.add(file.split, table)
        return table


def _statistics(
    snapshot: Snapshot, split: Split, files: _Files, how: Reading, counts: _Counts
) -> Statistics:
    def counted() -> Iterator[pa.Table]:
        for file in files:
            yield counts.add(file[0], read_table([file], how.columns))

    if snapshot.rows(split) <= beam.ROWS_IN_MEMORY:
        return profile.statistics_of(counted(), how.schema)
    for _ in counted():
        pass
    return beam.statistics_with_beam(files, how.columns, how.schema, how.work)


def _requests(snapshot: Snapshot, how: Reading) -> Statistics | None:
    if not snapshot.requests:
        return None
    files = download_files(snapshot.bucket, snapshot.requests, how.work / "requests")
    return profile.statistics_of((read_table([f], how.logged) for f in files), how.schema)
