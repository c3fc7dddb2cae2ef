"""What a release is asked for: one registered version and where it came from."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict

from nightshift.artifacts.manifest import ArtifactRef


class Candidate(BaseModel):
    """One registered model version, as release events and serving agents know it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    """The registered version's number, also the version folder's name on a model server."""
    night: date
    """Last day of the data it was trained and held out on."""
    model: ArtifactRef
    lineage: dict[str, ArtifactRef] = {}
    """Artifacts of the run by step name: snapshot, statistics, expectations, evaluate, gate."""
    run_id: str = ""
    """The MLflow run."""
    by: str = ""
