"""A person decides where the gate cannot: in Airflow itself, by name, with a reason, for ever."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
import yaml

from nightshift.gates.decision import Decision, DecisionKind
from nightshift.gates.decisions import Decisions
from nightshift.release.event import EventKind
from nightshift.release.log import ReleaseLog
from nightshift.release.record import About
from nightshift.stack.airflow_api import AirflowApi, DagRun, RunState
from nightshift.stack.environment import airflow_login_file
from tests.integration.night.conftest import PIPELINE, Stack, command
from tests.integration.servers import wait_until

# Short windows train in a moment, and two days of holdout leave much open.
WINDOW = {"days": 10, "holdout_days": 2, "minimum_rows_per_day": 400}
UNCLEAR = [{"metric": "auc", "floor": 0.5, "confidence": 1 - 1e-12}]
"""Models of so few days rank as a coin does, or nearly: the interval is wide and has 0.5 in it."""
HOPELESS = [{"metric": "auc", "floor": 0.99}]
LENIENT = [{"metric": "auc", "floor": 0.1}]
ASKING = {
    "steps": [{"weight": 50, "seconds": 1, "min_requests": 10}],
    "patience_seconds": 1,
    "when_quiet": "ask",
    "approve": "before_promotion",
}
"""A release that asks twice where no client asks anything."""
ASKED = "awaiting_input"
APPROVED, REJECTED, LATE = "2013-09-20", "2013-09-21", "2013-09-22"
"""Later than all nights of the other tests: a newer night is not replaced by an older one."""


@contextmanager
def rules(
    stack: Stack,
    gates: list[dict[str, object]],
    release: Mapping[str, object] | None = None,
    **approval: object,
) -> Iterator[None]:
    """The pipeline with other rules for a while."""
    path = Path(stack.environment["NIGHTSHIFT_PIPELINES"], PIPELINE, "pipeline.yaml")
    kept = path.read_text(encoding="utf-8")
    fields = {**yaml.safe_load(kept), "gates": gates, "window": WINDOW, "approval": approval}
    fields["release"] |= release or {}
    path.write_text(yaml.safe_dump(fields), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(kept, encoding="utf-8")


@contextmanager
def person(stack: Stack, name: str) -> Iterator[AirflowApi]:
    """Airflow as a person uses it who logs in under a name of her own."""
    logins = json.loads(airflow_login_file(stack.settings).read_text(encoding="utf-8"))
    with AirflowApi(stack.settings, name, logins[name]) as api:
        yield api


def await_question(stack: Stack, run: DagRun, task: str = "approve", seconds: float = 600) -> None:
    """Until the run waits for a person."""
    deadline = time.monotonic() + seconds
    while (state := state_of(stack, run, task)) != ASKED:
        assert time.monotonic() < deadline, state
        assert state not in ("failed", "success", "upstream_failed"), stack.errors(run)
        time.sleep(0.3)
    # A person reads first. An answer within a second meets Airflow's scheduler before it has heard
    # that the asking process ended: it takes that for the resumed one's end, and tries anew.
    time.sleep(5)


def await_answer_taken(stack: Stack, run: DagRun, task: str = "approve") -> None:
    """Until Airflow, which replies before it commits, has woken the task up."""
    wait_until(lambda: state_of(stack, run, task) != ASKED, seconds=60, what="the answer is taken")


def state_of(stack: Stack, run: DagRun, task: str) -> str | None:
    return next(t.state for t in stack.api.tasks(run) if t.task_id == task)


def ends_red_at(stack: Stack, run: DagRun, task: str) -> str:
    """The run ends red at this task, nothing is registered; gives back what the task says."""
    before = stack.record
    run = stack.finish(run)
    assert run.state is RunState.FAILED
    states = {t.task_id: t for t in stack.api.tasks(run)}
    assert (states[task].state, states[task].attempt) == ("failed", 1)
    assert states["register"].state == "upstream_failed"
    failed = stack.told("nightshift_failed_task")
    assert {name for dag_id, name in failed if dag_id == run.dag_id} == {task}
    assert stack.told("nightshift_asking_task") == set()
    assert stack.record == before
    return str(stack.api.xcom(run, task, "error"))


def decided(stack: Stack, night: str) -> list[Decision]:
    found = Decisions(stack.bucket, PIPELINE).of_night(date.fromisoformat(night))
    return [record.decision for record in found]


def mlflow_tags(stack: Stack, version: int) -> tuple[dict[str, str], dict[str, str]]:
    """Tags of a registered version, and of the run that it belongs to."""
    from mlflow import MlflowClient

    address = f"http://127.0.0.1:{stack.settings.ports.mlflow}"
    client = MlflowClient(address, address)
    found = client.get_model_version(PIPELINE, str(version))
    return dict(found.tags), dict(client.get_run(found.run_id).data.tags)


def is_live_by(stack: Stack, kind: DecisionKind, by: str, reason: str) -> None:
    """The live version bears this decision wherever it is shown."""
    champion = stack.record.champion
    assert champion is not None and champion.decision is not None
    assert (champion.decision.kind, champion.decision.by) == (kind, by)
    assert champion.decision.reason == reason
    asked = [
        event
        for event in ReleaseLog(stack.bucket, PIPELINE).events()
        if event.change.request and event.change.request.candidate.version == champion.version
    ]
    assert asked and all(by in e.reason and reason in e.reason for e in asked)
    for tags in mlflow_tags(stack, champion.version):
        assert tags["nightshift.decision.by"] == by
        assert tags["nightshift.decision.reason"] == reason
    line = next(s for s in command("status").splitlines() if f"version {champion.version} was" in s)
    assert by in line and reason in line


def test_an_inconclusive_night_waits_through_a_restart_for_a_named_person(stack: Stack) -> None:
    reason = "two public holidays in the holdout"
    with rules(stack, UNCLEAR):
        run = stack.start_night(APPROVED)
        await_question(stack, run)
        command("down")
        command("up")
        await_question(stack, run)
        assert (f"retrain_{PIPELINE}", "approve") in stack.told("nightshift_asking_task")
        with person(stack, "ada") as ada:
            ada.answer(run, "approve", "Approve", {"reason": " "})  # it must have one
            await_answer_taken(stack, run)
            await_question(stack, run)
            ada.answer(run, "approve", "Approve", {"reason": reason})
        run = stack.finish(run)
        assert run.state is RunState.SUCCESS, stack.errors(run)
        release = stack.finish_release(run)
    assert release.state is RunState.SUCCESS, stack.errors(release)
    assert [d.kind for d in decided(stack, APPROVED)] == [DecisionKind.APPROVED]
    is_live_by(stack, DecisionKind.APPROVED, "ada", reason)


def test_a_rejected_candidate_is_not_registered_and_stays_rejected(stack: Stack) -> None:
    with rules(stack, UNCLEAR):
        run = stack.start_night(REJECTED)
        await_question(stack, run)
        with person(stack, "grace") as grace:
            grace.answer(run, "approve", "Reject", {"reason": "carriers are missing"})
        said = ends_red_at(stack, run, "approve")
    assert "rejected by grace: carriers are missing" in said
    (decision,) = decided(stack, REJECTED)
    assert (decision.kind, decision.by) == (DecisionKind.REJECTED, "grace")
    # The same model under rules that it passes: nobody is asked, and it is refused all the same.
    with rules(stack, LENIENT):
        again = stack.start_night(REJECTED)
        said = ends_red_at(stack, again, "approve")
    assert "rejected by grace: carriers are missing when other rules judged it" in said
    assert stack.returned(again, "train")["artifact"] == stack.returned(run, "train")["artifact"]


def test_nobodys_answer_is_a_no_and_only_the_form_takes_a_no_back(stack: Stack) -> None:
    with rules(stack, UNCLEAR, within_minutes=0.05):
        said = ends_red_at(stack, stack.start_night(LATE), "approve")
    assert "timed out by the clock: nobody answered in time" in said
    with rules(stack, HOPELESS):
        said = ends_red_at(stack, stack.start_night(LATE), "gate")
    assert "0.99" in said
    late, failed = sorted(decided(stack, LATE), key=lambda d: d.at)
    assert (late.kind, failed.kind) == (DecisionKind.TIMED_OUT, DecisionKind.FAILED)
    form = {"night": LATE, "reason": "checked by hand against August"}
    with person(stack, "ada") as ada, rules(stack, HOPELESS, release=ASKING):
        unclear = stack.finish(ada.trigger(f"override_{PIPELINE}", form))
        assert failed.gate.key in str(stack.api.xcom(unclear, "override", "error"))
        run = stack.finish(ada.trigger(f"override_{PIPELINE}", {**form, "gate": failed.gate.key}))
        assert run.state is RunState.SUCCESS, stack.errors(run)
        release = stack.release_of(run)
        agrees_to_both_questions(stack, release, ada)
    is_live_by(stack, DecisionKind.OVERRIDDEN, "ada", form["reason"])


def agrees_to_both_questions(stack: Stack, release: DagRun, who: AirflowApi) -> None:
    """Too quiet, and then the promotion: one after the other, by the same task, under a name."""
    for reason in ("a Sunday", "looked at the shadow"):
        await_question(stack, release, "answer")
        who.answer(release, "answer", "Approve", {"reason": reason})
        await_answer_taken(stack, release, "answer")
    release = stack.finish(release)
    assert release.state is RunState.SUCCESS, stack.errors(release)
    agreed = [
        (event.change.about, event.reason)
        for event in ReleaseLog(stack.bucket, PIPELINE).events()
        if event.kind is EventKind.APPROVED
    ]
    assert agreed[-2:] == [
        (About.QUIET, "ada: a Sunday"),
        (About.PROMOTION, "ada: looked at the shadow"),
    ]


def test_a_run_that_is_cleared_asks_nobody_again(stack: Stack) -> None:
    with rules(stack, UNCLEAR):
        again = stack.finish(stack.start_night(APPROVED))
    assert again.state is RunState.SUCCESS, stack.errors(again)
    assert "ada" in json.dumps(stack.returned(again, "approve"))


@pytest.mark.parametrize("form", [{"night": LATE}, {"night": LATE, "reason": ""}])
def test_an_override_without_a_reason_is_refused_by_the_form(
    stack: Stack, form: dict[str, str]
) -> None:
    from nightshift.errors import RefusedError

    with person(stack, "ada") as ada, pytest.raises(RefusedError, match="reason"):
        ada.trigger(f"override_{PIPELINE}", form)
