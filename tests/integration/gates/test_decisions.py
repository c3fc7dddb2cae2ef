"""Decisions on a real object store: written once, whoever races, and never got around."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from nightshift.definition.approval import Approval
from nightshift.errors import RefusedError
from nightshift.gates.asking import asking
from nightshift.gates.decision import Decision, DecisionKind
from nightshift.gates.decisions import Decisions, admit
from nightshift.release import requests
from nightshift.release.candidate import Candidate
from tests.integration.judged import NIGHT, gate_on, model_ref
from tests.integration.servers import S3

PIPELINE = "flights"
WRITERS = 8
MODEL = model_ref()


@pytest.fixture
def decisions(s3: S3) -> Decisions:
    return Decisions(s3.artifacts, PIPELINE)


def decide(
    decisions: Decisions, verdict: str, kind: DecisionKind, *, by: str = "ada", rules: str = ""
) -> Decision:
    """Record a decision on a gate that ended so; gives back the one that stands."""
    gate = gate_on(decisions.bucket, PIPELINE, MODEL, verdict, rules=rules)
    decision = decisions.case(gate).decided(
        kind, by=by, reason=f"{by} says so", at=datetime.now(UTC), run="retrain_flights/1"
    )
    return decisions.record(decision, {"gate": gate, "train": MODEL})


def at_once(work: Callable[[int], Decision]) -> list[Decision]:
    barrier = threading.Barrier(WRITERS)

    def one(number: int) -> Decision:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(one, range(WRITERS)))


def admitted(decisions: Decisions, verdict: str, rules: str = "") -> Decision | None:
    gate = gate_on(decisions.bucket, PIPELINE, MODEL, verdict, rules=rules)
    return admit(decisions.bucket, PIPELINE, gate, MODEL)


def test_of_racing_answers_one_stands_and_all_are_told_which(decisions: Decisions) -> None:
    kinds = (DecisionKind.APPROVED, DecisionKind.REJECTED)
    gate_on(decisions.bucket, PIPELINE, MODEL, "inconclusive")
    stood = at_once(lambda n: decide(decisions, "inconclusive", kinds[n % 2], by=f"person {n}"))
    assert len({(d.by, d.kind) for d in stood}) == 1
    assert [r.decision for r in decisions.of_night(NIGHT)] == [stood[0]]


def test_of_racing_overrides_one_stands(decisions: Decisions) -> None:
    decide(decisions, "failed", DecisionKind.FAILED, by="the gate")

    def override(number: int) -> Decision:
        return decisions.override(
            NIGHT, by=f"person {number}", reason="we looked", run="override_flights/1"
        ).decision

    stood = at_once(override)
    assert len({d.by for d in stood}) == 1
    assert admitted(decisions, "failed") == stood[0]


def test_an_approval_lets_the_candidate_in_with_its_name(decisions: Decisions) -> None:
    with pytest.raises(RefusedError, match="nobody has approved it"):
        admitted(decisions, "inconclusive")
    approval = decide(decisions, "inconclusive", DecisionKind.APPROVED)
    assert admitted(decisions, "inconclusive") == approval


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        ("failed", DecisionKind.FAILED),
        ("inconclusive", DecisionKind.REJECTED),
        ("inconclusive", DecisionKind.TIMED_OUT),
    ],
)
def test_a_refused_model_stays_refused_under_other_rules(
    decisions: Decisions, verdict: str, kind: DecisionKind
) -> None:
    decide(decisions, verdict, kind)
    with pytest.raises(RefusedError, match="when other rules judged it"):
        admitted(decisions, "passed", rules="milder")
    override = decisions.override(NIGHT, by="grace", reason="we looked", run="r").decision
    assert (override.instead_of, override.by) == (kind, "grace")
    assert admitted(decisions, verdict) == override
    assert admitted(decisions, "passed", rules="milder") is None


def test_without_an_entry_a_failed_candidate_cannot_be_released(decisions: Decisions) -> None:
    gate = gate_on(decisions.bucket, PIPELINE, MODEL, "failed")
    candidate = Candidate(version=1, night=NIGHT, model=MODEL, lineage={"gate": gate})
    for refused in (candidate, candidate.model_copy(update={"lineage": {}})):
        with pytest.raises(RefusedError, match=r"auc is failed|without a gate"):
            requests.ask(decisions.bucket, PIPELINE, refused, by="t", reason="r")
    decide(decisions, "failed", DecisionKind.FAILED, by="the gate")
    decisions.override(NIGHT, by="ada", reason="we looked", run="override_flights/1")
    assert requests.ask(decisions.bucket, PIPELINE, candidate, by="t", reason="r")


def test_a_gate_that_judged_another_model_admits_nobody(decisions: Decisions) -> None:
    gate = gate_on(decisions.bucket, PIPELINE, MODEL, "passed")
    with pytest.raises(RefusedError, match="judged another model"):
        admit(decisions.bucket, PIPELINE, gate, model_ref("other"))


def test_an_override_names_what_it_means_where_there_are_several(decisions: Decisions) -> None:
    with pytest.raises(RefusedError, match="nothing to override"):
        decisions.override(NIGHT, by="ada", reason="we looked", run="r")
    first = decide(decisions, "failed", DecisionKind.FAILED, by="the gate")
    decide(decisions, "inconclusive", DecisionKind.TIMED_OUT, by="the clock")
    with pytest.raises(RefusedError, match=first.gate.key):
        decisions.override(NIGHT, by="ada", reason="we looked", run="r")
    record = decisions.override(NIGHT, by="ada", reason="yes", run="r", gate_key=first.gate.key)
    assert record.decision.gate == first.gate
    assert record.inputs == {"gate": first.gate, "train": MODEL}


def test_the_share_of_nights_that_ask_is_read_from_the_decisions(decisions: Decisions) -> None:
    kinds = (
        *(DecisionKind.APPROVED, DecisionKind.FAILED, DecisionKind.TIMED_OUT),
        *(DecisionKind.REJECTED, None),
    )
    for day, kind in enumerate(kinds):
        night = NIGHT + timedelta(day)
        decisions.bucket.put(f"{PIPELINE}/runs/{night}/mlflow.json", b"{}")
        if kind:
            gate = gate_on(decisions.bucket, PIPELINE, MODEL, "inconclusive", night=night)
            at = datetime.now(UTC)
            case = decisions.case(gate)
            decisions.record(case.decided(kind, by="ada", reason="so", at=at, run="r"), {})
    last, approval = NIGHT + timedelta(4), Approval(nights=4)
    found = asking(decisions.bucket, PIPELINE, last, approval, asks=True)
    # Of the last four: one failed by itself, two were decided by people, and this one asks.
    assert (found.asked, found.nights) == (3, 4)
    assert asking(decisions.bucket, PIPELINE, last, approval, asks=False).asked == 2
