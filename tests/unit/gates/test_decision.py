"""What follows from decisions: no way around a no, whatever was decided in whatever order."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.gates.decision import (
    Case,
    Decision,
    DecisionKind,
    Outcome,
    standing,
)
from nightshift.gates.verdict import GateVerdict

NIGHT = date(2013, 8, 31)
NO = (DecisionKind.FAILED, DecisionKind.REJECTED, DecisionKind.TIMED_OUT)


def ref(kind: str, key: str) -> ArtifactRef:
    return ArtifactRef(kind=kind, key=key, uri=f"s3://b/{key}", digest="d")


def case(verdict: GateVerdict, gate: str = "g1", model: str = "m1") -> Case:
    return Case(NIGHT, ref("gate", gate), ref("model", model), verdict, "auc is near its floor")


def decision(
    kind: DecisionKind, gate: str = "g1", model: str = "m1", by: str = "ada", reason: str = "so"
) -> Decision:
    return case(GateVerdict.INCONCLUSIVE, gate, model).decided(
        kind, by=by, reason=reason, at=datetime.now(UTC), run="retrain_flights/1"
    )


verdicts = st.sampled_from(GateVerdict)
decisions = st.lists(
    st.builds(
        decision,
        st.sampled_from(DecisionKind),
        st.sampled_from(("g1", "g2")),
        st.sampled_from(("m1", "m2")),
    ),
    max_size=6,
)


def test_a_passed_gate_asks_nobody() -> None:
    assert standing(case(GateVerdict.PASSED), []).outcome is Outcome.RELEASE


def test_an_inconclusive_gate_asks_until_it_is_answered() -> None:
    asked = case(GateVerdict.INCONCLUSIVE)
    assert standing(asked, []).outcome is Outcome.ASK
    approval = decision(DecisionKind.APPROVED)
    stands = standing(asked, [approval])
    assert (stands.outcome, stands.decision) == (Outcome.RELEASE, approval)


def test_an_approval_of_other_rules_answers_nothing() -> None:
    stands = standing(case(GateVerdict.INCONCLUSIVE), [decision(DecisionKind.APPROVED, "g2")])
    assert stands.outcome is Outcome.ASK


def test_a_failed_gate_cannot_be_approved() -> None:
    stands = standing(case(GateVerdict.FAILED), [decision(DecisionKind.APPROVED)])
    assert stands.outcome is Outcome.REFUSE


@pytest.mark.parametrize("kind", NO)
@pytest.mark.parametrize("verdict", GateVerdict)
def test_a_no_holds_whatever_other_rules_say(kind: DecisionKind, verdict: GateVerdict) -> None:
    no = decision(kind, "g2")
    stands = standing(case(verdict), [no])
    assert (stands.outcome, stands.decision) == (Outcome.REFUSE, no)


@pytest.mark.parametrize("kind", NO)
def test_an_override_takes_a_no_back_and_is_what_is_shown(kind: DecisionKind) -> None:
    override = decision(DecisionKind.OVERRIDDEN)
    stands = standing(case(GateVerdict.FAILED), [decision(kind), override])
    assert (stands.outcome, stands.decision) == (Outcome.RELEASE, override)


def test_an_override_of_one_gate_is_none_of_another() -> None:
    known = [decision(DecisionKind.OVERRIDDEN, "g2"), decision(DecisionKind.FAILED, "g2")]
    assert standing(case(GateVerdict.FAILED), known).outcome is Outcome.REFUSE
    assert standing(case(GateVerdict.PASSED), known).outcome is Outcome.RELEASE


@given(verdict=verdicts, known=decisions)
def test_without_an_override_nothing_that_failed_or_was_refused_is_released(
    verdict: GateVerdict, known: list[Decision]
) -> None:
    mine = [d for d in known if d.model.key == "m1"]
    refused = verdict is GateVerdict.FAILED or any(d.kind.refuses for d in mine)
    overridden = any(d.kind is DecisionKind.OVERRIDDEN for d in mine)
    stands = standing(case(verdict), known)
    if refused and not overridden:
        assert stands.outcome is Outcome.REFUSE
    if stands.outcome is Outcome.RELEASE and verdict is not GateVerdict.PASSED:
        assert stands.decision is not None
        assert stands.decision.gate.key == "g1"


@given(verdict=verdicts, known=decisions)
def test_decisions_on_other_models_change_nothing(
    verdict: GateVerdict, known: list[Decision]
) -> None:
    mine = [d for d in known if d.model.key == "m1"]
    assert standing(case(verdict), known) == standing(case(verdict), mine)


@given(verdict=verdicts, known=decisions, data=st.data())
def test_the_order_of_decisions_does_not_matter(
    verdict: GateVerdict, known: list[Decision], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(known))
    assert standing(case(verdict), known).outcome is standing(case(verdict), shuffled).outcome


@pytest.mark.parametrize("field", [{"by": " "}, {"reason": ""}])
def test_a_decision_without_a_name_or_a_reason_cannot_be(field: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        decision(DecisionKind.APPROVED, **field)


def test_it_reads_as_a_person_would_say_it() -> None:
    assert str(decision(DecisionKind.TIMED_OUT, by="the clock")) == "timed out by the clock: so"
    override = decision(DecisionKind.OVERRIDDEN).model_copy(
        update={"instead_of": DecisionKind.FAILED}
    )
    assert str(override) == "overridden (failed before) by ada: so"
