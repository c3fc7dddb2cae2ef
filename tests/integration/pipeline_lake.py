"""One pipeline's lake with real data, steps planned over it, and a champion made by hand."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import pyarrow as pa

from nightshift.artifacts.store import ArtifactStore
from nightshift.data.lake import Lake, parquet_bytes
from nightshift.data.seed import SOURCES
from nightshift.definition.model import PipelineDefinition
from nightshift.release import machine
from nightshift.release.candidate import Candidate
from nightshift.release.event import Change, EventKind
from nightshift.release.log import ReleaseLog
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.plan import plan_step
from nightshift.steps.run import execute
from tests.integration.servers import S3


class PipelineLake:
    """A pipeline over the real days from ``first`` to ``last``. Needs the S3's environment set."""

    def __init__(self, s3: S3, definition: PipelineDefinition, first: date, last: date) -> None:
        self.definition = definition
        self.store = ArtifactStore(s3.artifacts)
        self.lake = Lake(s3.lake, definition.dataset.name)
        source = importlib.import_module(SOURCES[definition.dataset.name])
        self.tables = {d: t for d, t in source.days() if first <= d <= last}
        self.lake.ensure()
        for day, table in self.tables.items():
            self.lake.write(day, table)
        self._nonce = 0

    def key(self, day: date) -> str:
        """The one file of a day."""
        return self.lake.partition(day) + "part-0.parquet"

    @contextmanager
    def holding(self, day: date, file: pa.Table | bytes | None) -> Iterator[None]:
        """Have another table, other bytes or nothing (None) as a day's file for a while."""
        if file is None:
            self.lake.bucket.delete(self.key(day))
        else:
            body = file if isinstance(file, bytes) else parquet_bytes(file)
            self.lake.bucket.put(self.key(day), body)
        try:
            yield
        finally:
            self.lake.bucket.put(self.key(day), self.bytes_of(day))

    def bytes_of(self, day: date) -> bytes:
        """A day's file as it should be."""
        return parquet_bytes(self.tables[day])

    def plan_night(self, night: date, step: str, **inputs: StepResult) -> StepRequest:
        """A request that no earlier one's artifact answers."""
        self._nonce += 1
        references = {name: r.artifact for name, r in inputs.items() if r.artifact}
        return plan_step(STEPS[step], self.definition, night, references, nonce=str(self._nonce))

    def snapshot_of(self, night: date) -> StepResult:
        """Pin what the lake holds now."""
        return execute(self.plan_night(night, "snapshot"), self.store)

    def release(self, night: date, **lineage: StepResult) -> None:
        """Have a version released that these steps led to, through the release log itself."""
        references = {name: r.artifact for name, r in lineage.items() if r.artifact}
        candidate = Candidate(
            version=1, night=night, model=references["snapshot"], lineage=references
        )
        log = ReleaseLog(self.store.bucket, self.definition.pipeline)
        log.change(lambda r: machine.request(r, candidate, by="test", reason="test"), by="test")
        for kind in (EventKind.STAGED, EventKind.VERIFIED, EventKind.PROMOTED, EventKind.FINISHED):
            log.append(log.record(), Change(kind=kind, reason="test"), by="test")
        assert log.record().champion == candidate

    def drop_release_log(self) -> None:
        """No version was ever released."""
        for item in list(self.store.bucket.list("releases/")):
            self.store.bucket.delete(item.key)
