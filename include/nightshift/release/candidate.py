"""What a release is asked for: one registered version and where it came from."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.gates.decision import Decision


class Candidate(BaseModel):
    """One registered model version, as release events and serving agents know it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    """The registered version's number, also the version folder's name on a model server."""
    night: date
    """Last day of the data it was trained and held out on."""
    model: ArtifactRef
    served: ArtifactRef | None = None
    """A compressed variant that hosts load in the model's place; None for the model itself."""
    lineage: dict[str, ArtifactRef] = {}
    """Artifacts of the run by step name: snapshot, statistics, expectations, evaluate, gate."""
    run_id: str = ""
    """The MLflow run."""
    by: str = ""
    decision: Decision | None = None
    """The person's word by which it was registered; None where its gate passed."""

    @property
    def released(self) -> ArtifactRef:
        """What hosts load: a SavedModel folder and its golden requests."""
        return self.served or self.model
