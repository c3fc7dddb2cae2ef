"""What was decided about one candidate, by whom and why; and what follows from it. Pure.

The gate decides where it passes or fails. Where it is inconclusive a person does, and where nobody
answers in time the answer is no. A *no* holds for the model, not for the rules that it was judged
by: judged again by others, the same model stays refused. Only an override takes a *no* back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.gates.verdict import GateVerdict

Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""Words that must not be left out."""


class DecisionKind(StrEnum):
    """What was decided."""

    FAILED = "failed"
    """The gate itself said no."""
    APPROVED = "approved"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    """Nobody answered in time."""
    OVERRIDDEN = "overridden"
    """A person took a *no* back."""

    @property
    def refuses(self) -> bool:
        """Whether it is a *no*."""
        return self in (DecisionKind.FAILED, DecisionKind.REJECTED, DecisionKind.TIMED_OUT)

    @property
    def asked(self) -> bool:
        """Whether a person had been asked."""
        return self in (DecisionKind.APPROVED, DecisionKind.REJECTED, DecisionKind.TIMED_OUT)


class Decision(BaseModel):
    """One decision. It travels with the version wherever the version is shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: DecisionKind
    by: Said
    """An Airflow user; of what nobody decided, what did."""
    reason: Said
    at: datetime
    """UTC."""
    night: date
    gate: ArtifactRef
    """The gate's artifact that was decided on."""
    model: ArtifactRef
    """The model that it judged."""
    run: str = ""
    """The Airflow run."""
    instead_of: DecisionKind | None = None
    """With ``overridden``: the *no* that it takes back."""

    def __str__(self) -> str:
        what = self.kind.replace("_", " ")
        was = f" ({self.instead_of.replace('_', ' ')} before)" if self.instead_of else ""
        return f"{what}{was} by {self.by}: {self.reason}"

    @property
    def tags(self) -> dict[str, str]:
        """The same for MLflow."""
        return {
            "nightshift.decision": self.kind.value,
            "nightshift.decision.by": self.by,
            "nightshift.decision.reason": self.reason[:4900],
        }


@dataclass(frozen=True)
class Case:
    """One gate's artifact, and what it says of which model.

    Attributes:
        night: The run's night.
        gate: The gate's artifact.
        model: The model that it judged.
        verdict: How it ended.
        message: The rules behind the verdict, where it is not *passed*.
    """

    night: date
    gate: ArtifactRef
    model: ArtifactRef
    verdict: GateVerdict
    message: str = ""

    def decided(
        self, kind: DecisionKind, *, by: str, reason: str, at: datetime, run: str
    ) -> Decision:
        """A decision on this case."""
        return Decision(
            kind=kind,
            by=by,
            reason=reason,
            at=at,
            night=self.night,
            gate=self.gate,
            model=self.model,
            run=run,
        )


class Outcome(StrEnum):
    """What may be done with a candidate."""

    RELEASE = "release"
    ASK = "ask"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Standing:
    """What may be done with a candidate, and the decision that says so (None: the gate alone)."""

    outcome: Outcome
    decision: Decision | None = None


def standing(case: Case, decisions: Iterable[Decision]) -> Standing:
    """How a candidate stands.

    Args:
        case: The gate's artifact at hand.
        decisions: All that were recorded on its night, on other models and other gates too.
    """
    about = [known for known in decisions if known.model.key == case.model.key]
    override = _on(case, about, DecisionKind.OVERRIDDEN)
    if override:
        return Standing(Outcome.RELEASE, override)
    taken_back = {known.gate.key for known in about if known.kind is DecisionKind.OVERRIDDEN}
    for known in about:
        if known.kind.refuses and known.gate.key not in taken_back:
            return Standing(Outcome.REFUSE, known)
    if case.verdict is GateVerdict.FAILED:
        return Standing(Outcome.REFUSE)
    if case.verdict is GateVerdict.PASSED:
        return Standing(Outcome.RELEASE)
    approval = _on(case, about, DecisionKind.APPROVED)
    return Standing(Outcome.RELEASE, approval) if approval else Standing(Outcome.ASK)


def _on(case: Case, decisions: Iterable[Decision], kind: DecisionKind) -> Decision | None:
    """The decision of this kind on this very gate."""
    return next((d for d in decisions if d.kind is kind and d.gate.key == case.gate.key), None)
