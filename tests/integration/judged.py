"""Gates that have ended one way or another, as artifacts: what decisions are about."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

from nightshift.artifacts.keys import digest
from nightshift.artifacts.manifest import ArtifactRef, Manifest
from nightshift.artifacts.store import ArtifactStore, new_attempt
from nightshift.release.candidate import Candidate
from nightshift.storage.s3 import Bucket

NIGHT = date(2026, 1, 1)


def model_ref(name: str = "m") -> ArtifactRef:
    """A model that nobody reads."""
    return ArtifactRef(kind="model", key=name, uri=f"s3://b/{name}", digest="d")


def gate_on(
    bucket: Bucket,
    pipeline: str,
    model: ArtifactRef,
    verdict: str = "passed",
    *,
    rules: str = "",
    night: date = NIGHT,
) -> ArtifactRef:
    """Commit a gate's artifact, and the evaluation that it read.

    Args:
        bucket: Where.
        pipeline: Whose.
        model: What was judged.
        verdict: How the gate ended.
        rules: Anything: other rules are another gate.
        night: The run's night.
    """
    evaluation = _commit(bucket, pipeline, night, kind="evaluation", inputs={"train": model})
    facts = {"verdict": verdict, "message": "" if verdict == "passed" else f"auc is {verdict}"}
    read = {"evaluate": evaluation}
    return _commit(bucket, pipeline, night, kind="gate", inputs=read, facts=facts, rules=rules)


def with_passed_gate(bucket: Bucket, pipeline: str, candidate: Candidate) -> Candidate:
    """The candidate as a night registers it: judged, and passed."""
    gate = gate_on(bucket, pipeline, candidate.model, night=candidate.night)
    return candidate.model_copy(update={"lineage": {"gate": gate}})


def _commit(
    bucket: Bucket,
    pipeline: str,
    night: date,
    *,
    kind: str,
    inputs: dict[str, ArtifactRef],
    facts: dict[str, str] | None = None,
    rules: str = "",
) -> ArtifactRef:
    keys = ",".join(ref.key for ref in inputs.values())
    manifest = Manifest(
        pipeline=pipeline,
        kind=kind,
        key=digest(f"{night} {keys} {facts} {rules}".encode())[:32],
        attempt=new_attempt(),
        files={},
        inputs=inputs,
        facts=facts or {},
        night=night.isoformat(),
        created=datetime.now(UTC),
    )
    with tempfile.TemporaryDirectory() as empty:
        return ArtifactStore(bucket).commit(manifest, Path(empty)).ref
