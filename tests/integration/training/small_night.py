"""A small pipeline on a real S3: a lake of a few days, a pinned snapshot, steps as processes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nightshift.artifacts.manifest import ArtifactRef, Manifest
from nightshift.artifacts.store import ArtifactStore, new_attempt
from nightshift.data.pinned import SNAPSHOT_FILE, Baseline, PinnedFile, Snapshot, Split
from nightshift.definition.model import PipelineDefinition
from nightshift.release.candidate import Candidate
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.launch import run_step
from nightshift.steps.plan import plan_step
from tests.integration.servers import S3
from tests.unit.training.small_data import MODEL

NIGHT = date(2013, 1, 10)
DAYS, HOLDOUT_DAYS, ROWS_PER_DAY = 5, 2, 300

DEFINITION: dict[str, Any] = {
    "pipeline": "small",
    "dataset": {"name": "small"},
    "label": {"name": "late", "column": "delay", "above": 15, "missing": "drop"},
    "features": {"colour": "string", "size": "int", "weight": "float"},
    "window": {"days": DAYS, "holdout_days": HOLDOUT_DAYS},
    "slices": ["colour"],
    "training": {"epochs": 2, "global_batch_size": 64, "learning_rate": 0.01},
    "gates": [
        {"metric": "auc", "floor": 0.6},
        {"metric": "auc", "margin": 0.05},
        {"metric": "auc", "floor": 0.5, "slice": "colour", "minimum_rows": 50},
    ],
    "release": {"golden_requests": 16, "tolerance": 0.00001},
}

Change = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class SmallNight:
    """One pipeline's folder and lake; runs its steps.

    Attributes:
        s3: Where the lake and the artifacts lie.
        folder: The pipeline's folder, named ``small``.
        lines: What the last step printed.
    """

    s3: S3
    folder: Path
    lines: list[str] = field(default_factory=list)

    @property
    def store(self) -> ArtifactStore:
        """The artifacts."""
        return ArtifactStore(self.s3.artifacts)

    def definition(self, **changes: Any) -> PipelineDefinition:
        """The pipeline, with some sections replaced."""
        return PipelineDefinition.model_validate({**DEFINITION, **changes, "folder": self.folder})

    def write_model(self, text: str = MODEL) -> None:
        """Write model.py."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "model.py").write_text(text)

    def snapshot(
        self, champion: Candidate | None = None, change: Change = lambda rows: rows
    ) -> ArtifactRef:
        """Write the lake's days and commit a snapshot of them; ``change`` edits the first day."""
        files = []
        for number in range(DAYS):
            rows = small_rows(seed=number)
            files.append(self._write_day(number, change(rows) if number == 0 else rows))
        snapshot = Snapshot(
            pipeline="small",
            night=NIGHT,
            bucket=self.s3.lake.name,
            files=tuple(files),
            baseline=Baseline(champion=champion),
        )
        return self._commit("snapshot", {SNAPSHOT_FILE: snapshot.model_dump_json().encode()})

    def statistics(self, warnings: Sequence[str] = (), **drift: float) -> ArtifactRef:
        """What the validation's runtime would have found, as a gate reads it."""
        metrics = {f"holdout_drift/{column}": value for column, value in drift.items()}
        return self._commit("statistics", {}, metrics=metrics, facts={"warnings": list(warnings)})

    def run(
        self,
        step: str,
        inputs: Mapping[str, ArtifactRef],
        definition: PipelineDefinition | None = None,
        nonce: str = "",
        own: Mapping[str, Any] | None = None,
    ) -> StepResult:
        """Run one step as a process of its own."""
        self.lines = []
        request = self.request(step, inputs, definition, nonce, own)
        return run_step(request, self.store, on_line=self.lines.append)

    def request(
        self,
        step: str,
        inputs: Mapping[str, ArtifactRef],
        definition: PipelineDefinition | None = None,
        nonce: str = "",
        own: Mapping[str, Any] | None = None,
    ) -> StepRequest:
        """What that process is told."""
        pipeline = definition or self.definition()
        return plan_step(STEPS[step], pipeline, NIGHT, inputs, nonce=nonce, own=own)

    def fetch(self, ref: ArtifactRef | None, into: Path) -> Path:
        """Download an artifact."""
        assert ref is not None, "\n".join(self.lines)
        self.store.fetch(self.store.open(ref), into)
        return into

    def _write_day(self, number: int, rows: dict[str, Any]) -> PinnedFile:
        day = NIGHT - timedelta(days=DAYS - 1 - number)
        body = io.BytesIO()
        pq.write_table(pa.table(rows), body)
        data = body.getvalue()
        key = f"small/date={day.isoformat()}/part-0.parquet"
        version = self.s3.lake.put(key, data)
        held_out = number >= DAYS - HOLDOUT_DAYS
        return PinnedFile(
            date=day,
            split=Split.HOLDOUT if held_out else Split.TRAIN,
            key=key,
            version_id=version,
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            rows=len(rows["delay"]),
        )

    def _commit(self, kind: str, files: Mapping[str, bytes], **told: Any) -> ArtifactRef:
        local = self.folder.parent / f"{kind}-{new_attempt()}"
        local.mkdir(parents=True)
        for name, body in files.items():
            (local / name).write_bytes(body)
        draft = Manifest(
            pipeline="small",
            kind=kind,
            key=new_attempt(),
            attempt=new_attempt(),
            files={},
            created=datetime.now(UTC),
            **told,
        )
        return self.store.commit(draft, local).ref


def small_rows(seed: int) -> dict[str, Any]:
    """One day; the label follows from the weight, and the last rows have none."""
    draw = np.random.default_rng(seed)
    weight = draw.normal(size=ROWS_PER_DAY)
    delay = (20 * weight + draw.normal(size=ROWS_PER_DAY) * 10 + 15).tolist()
    return {
        "colour": draw.choice(["red", "green", "blue"], size=ROWS_PER_DAY).tolist(),
        "size": draw.integers(0, 5, size=ROWS_PER_DAY).tolist(),
        "weight": weight.tolist(),
        "delay": [*delay[:-7], *[None] * 7],
    }


def candidate(version: int, model: ArtifactRef) -> Candidate:
    """A released version."""
    return Candidate(version=version, night=NIGHT - timedelta(days=1), model=model)
