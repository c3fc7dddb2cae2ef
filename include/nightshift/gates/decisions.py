"""The decisions of a pipeline in S3: each is written once and stays for ever.

::

    <pipeline>/decisions/<night>/<gate key>.json            the first answer on a gate, the only one
    <pipeline>/decisions/<night>/<gate key>.override.json   the override of a *no*

Each is one conditional write: of two people who answer at once one is heard, and both are told who.
Beside the decision stand the run's artifacts, so that an override registers what was refused and
nothing that was made since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from pydantic import BaseModel, ConfigDict

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.artifacts.store import ArtifactStore
from nightshift.errors import RefusedError
from nightshift.gates.decision import (
    Case,
    Decision,
    DecisionKind,
    Outcome,
    Standing,
    standing,
)
from nightshift.gates.verdict import GateVerdict
from nightshift.storage.s3 import Bucket

_OVERRIDE = ".override"


class DecisionRecord(BaseModel):
    """What is written: the decision, and the run's artifacts by step name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision: Decision
    inputs: dict[str, ArtifactRef]


@dataclass(frozen=True)
class Decisions:
    """All decisions of one pipeline.

    Methods raise :class:`nightshift.errors.UnavailableError` where the object store is away.
    """

    bucket: Bucket
    pipeline: str

    def case(self, gate: ArtifactRef) -> Case:
        """What a gate's artifact says, and of which model.

        Raises:
            DigestMismatchError: An artifact is not the one that was referred to.
        """
        store = ArtifactStore(self.bucket)
        manifest = store.open(gate).manifest
        evaluation = store.open(manifest.inputs["evaluate"]).manifest
        return Case(
            night=date.fromisoformat(manifest.night),
            gate=gate,
            model=evaluation.inputs["train"],
            verdict=GateVerdict(manifest.facts["verdict"]),
            message=manifest.facts.get("message", ""),
        )

    def standing(self, case: Case) -> Standing:
        """How a candidate stands now."""
        return standing(case, (known.decision for known in self.of_night(case.night)))

    def record(self, decision: Decision, inputs: dict[str, ArtifactRef]) -> Decision:
        """Write a decision down, unless another was first.

        Returns:
            The decision that stands, which may be somebody else's.
        """
        key = self._key(decision)
        body = DecisionRecord(decision=decision, inputs=inputs).model_dump_json(indent=1).encode()
        self.bucket.create(key, body)
        return self._read(key).decision

    def override(
        self, night: date, *, by: str, reason: str, run: str, gate_key: str = ""
    ) -> DecisionRecord:
        """Take back the *no* on a candidate of a night; again is the same override.

        Args:
            night: The candidate's night.
            by: The Airflow user.
            reason: Why.
            run: The Airflow run.
            gate_key: Which one, where the night has several.

        Raises:
            RefusedError: Nothing was refused on that night, or it is not clear what is meant.
        """
        refused = self._refused(night, gate_key)
        # Made anew: model_copy checks nothing, and a name or a reason must not be empty.
        decision = Decision(
            kind=DecisionKind.OVERRIDDEN,
            by=by,
            reason=reason,
            at=datetime.now(UTC),
            night=night,
            gate=refused.decision.gate,
            model=refused.decision.model,
            run=run,
            instead_of=refused.decision.kind,
        )
        stands = self.record(decision, refused.inputs)
        return refused.model_copy(update={"decision": stands})

    def of_night(self, night: date) -> tuple[DecisionRecord, ...]:
        """Every decision on the candidates of a night, in order of their keys."""
        return tuple(self._read(found.key) for found in self.bucket.list(self._folder(night)))

    def asked_nights(self, nights: tuple[date, ...]) -> frozenset[date]:
        """Those of the nights on which a person was asked and the question was settled."""
        prefix = f"{self.pipeline}/decisions/"
        decided = {name.removeprefix(prefix).rstrip("/") for name in self.bucket.folders(prefix)}
        return frozenset(
            night
            for night in nights
            if night.isoformat() in decided
            and any(known.decision.kind.asked for known in self.of_night(night))
        )

    def _refused(self, night: date, gate_key: str) -> DecisionRecord:
        found = [r for r in self.of_night(night) if r.decision.kind.refuses]
        chosen = [r for r in found if gate_key in ("", r.decision.gate.key)]
        if len(chosen) == 1:
            return chosen[0]
        listed = "".join(f"\n  {r.decision.gate.key}: {r.decision}" for r in found)
        which = f", gate {gate_key}" if gate_key else ""
        if not chosen:
            raise RefusedError(
                f"{self.pipeline}, night of {night}{which}: no candidate was refused, so there is "
                f"nothing to override. Refused on that night: {listed or 'none'}"
            )
        raise RefusedError(
            f"{self.pipeline}, night of {night}: {len(found)} candidates were refused. Fill in "
            f"'gate' with the key of the one that you mean:{listed}"
        )

    def _read(self, key: str) -> DecisionRecord:
        return DecisionRecord.model_validate_json(self.bucket.get(key).body)

    def _folder(self, night: date) -> str:
        return f"{self.pipeline}/decisions/{night.isoformat()}/"

    def _key(self, decision: Decision) -> str:
        again = _OVERRIDE if decision.kind is DecisionKind.OVERRIDDEN else ""
        return f"{self._folder(decision.night)}{decision.gate.key}{again}.json"


def admit(bucket: Bucket, pipeline: str, gate: ArtifactRef, model: ArtifactRef) -> Decision | None:
    """Let a candidate be registered or released.

    Returns:
        The decision that lets it; None where its gate passed.

    Raises:
        RefusedError: Its gate failed, is undecided or judged another model, or somebody said no.
    """
    decisions = Decisions(bucket, pipeline)
    case = decisions.case(gate)
    where = f"{pipeline}, night of {case.night}"
    if case.model.key != model.key:
        raise RefusedError(f"{where}: gate {gate.key} judged another model than {model.key}.")
    stands = decisions.standing(case)
    if stands.outcome is not Outcome.RELEASE:
        raise RefusedError(f"{where}: {refusal(case, stands)}")
    return stands.decision


def refusal(case: Case, stands: Standing) -> str:
    """Why a candidate may not be released, in words."""
    if stands.outcome is Outcome.ASK:
        return f"its gate is {case.verdict} and nobody has approved it. {case.message}"
    if stands.decision is None:
        return case.message or "its gate failed."
    again = "" if stands.decision.gate.key == case.gate.key else " when other rules judged it"
    return f"this model was {stands.decision}{again}"
