"""A lake of real flights, and ways to spoil one partition of it for one night."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import pyarrow as pa

from nightshift.artifacts.store import ArtifactStore
from nightshift.data.lake import Lake, parquet_bytes
from nightshift.data.seed import seed
from nightshift.data.sources import flights
from nightshift.definition import PipelineDefinition, Window, load_pipeline
from nightshift.release import machine
from nightshift.release.candidate import Candidate
from nightshift.release.event import Change, EventKind
from nightshift.release.log import ReleaseLog
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.plan import plan_step
from nightshift.steps.run import execute
from tests.integration.servers import S3

NIGHT = date(2013, 8, 31)
OLD = date(2013, 8, 20)
"""A day of the training rows."""
DAYS = 21

Spoil = Callable[[pa.Table], pa.Table]


class FlightsLake:
    """The flights pipeline over a window of 21 days, its lake filled with the real flights.

    Use it with an ``S3`` whose environment is set.
    """

    def __init__(self, s3: S3) -> None:
        self.definition: PipelineDefinition = load_pipeline("flights").model_copy(
            update={"window": Window(days=DAYS, holdout_days=7, minimum_rows_per_day=400)}
        )
        self.store = ArtifactStore(s3.artifacts)
        self.lake = Lake(s3.lake, "flights")
        first = NIGHT - timedelta(DAYS - 1)
        seed(self.lake, first=first, last=NIGHT)
        self.tables = {d: t for d, t in flights.days() if first <= d <= NIGHT}
        self._nonce = 0

    def key(self, day: date) -> str:
        """The one file of a day."""
        return self.lake.partition(day) + "part-0.parquet"

    @contextmanager
    def spoiled(self, day: date, spoil: Spoil | bytes | None) -> Iterator[None]:
        """Have another table, other bytes or nothing (None) as a day's file for a while."""
        if spoil is None:
            self.lake.bucket.delete(self.key(day))
        elif isinstance(spoil, bytes):
            self.lake.bucket.put(self.key(day), spoil)
        else:
            self.lake.bucket.put(self.key(day), parquet_bytes(spoil(self.tables[day])))
        try:
            yield
        finally:
            self.lake.bucket.put(self.key(day), self.bytes_of(day))

    def bytes_of(self, day: date) -> bytes:
        """A day's file as it should be."""
        return parquet_bytes(self.tables[day])

    def plan(self, step: str, **inputs: StepResult) -> StepRequest:
        """A request that no earlier one's artifact answers."""
        self._nonce += 1
        references = {name: r.artifact for name, r in inputs.items() if r.artifact}
        return plan_step(STEPS[step], self.definition, NIGHT, references, nonce=str(self._nonce))

    def snapshot(self) -> StepResult:
        """Pin what the lake holds now."""
        return execute(self.plan("snapshot"), self.store)

    def make_champion(self, **lineage: StepResult) -> None:
        """Have a version released that these steps led to, through the release log itself."""
        references = {name: r.artifact for name, r in lineage.items() if r.artifact}
        candidate = Candidate(
            version=1, night=NIGHT, model=references["snapshot"], lineage=references
        )
        log = ReleaseLog(self.store.bucket, "flights")
        log.change(lambda r: machine.request(r, candidate, by="test", reason="test"), by="test")
        for kind in (EventKind.STAGED, EventKind.VERIFIED, EventKind.PROMOTED, EventKind.FINISHED):
            log.append(log.record(), Change(kind=kind, reason="test"), by="test")
        assert log.record().champion == candidate

    def drop_release_log(self) -> None:
        """No version was ever released."""
        for item in list(self.store.bucket.list("releases/")):
            self.store.bucket.delete(item.key)


def column(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The table with one column's values replaced."""
    return table.set_column(table.schema.get_field_index(name), name, values)


def first_rows(table: pa.Table, name: str, share: float, value: object) -> pa.Table:
    """The table with a value in the first rows of a column, as many as ``share`` of all."""
    values = table[name].to_pylist()
    values[: round(share * len(values))] = [value] * round(share * len(values))
    return column(table, name, pa.array(values, table.schema.field(name).type))
