"""The question to a person, and the override: what their tasks and forms are."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.definition.approval import Approval
from nightshift.definition.load import load_pipeline
from nightshift.definition.model import PipelineDefinition, Schedule
from nightshift.gates.decision import Case, Decision, DecisionKind
from nightshift.gates.verdict import GateVerdict
from nightshift_airflow.answer_time import MARGIN, answer_time
from nightshift_airflow.operators.approve import ApproveOperator
from nightshift_airflow.override import override_dag
from nightshift_airflow.retrain import retrain_dag

NEW_YORK = ZoneInfo("America/New_York")


def flights(cron: str | None = "0 2 * * *", **further: Any) -> PipelineDefinition:
    schedule = Schedule(cron=cron, timezone="America/New_York", end=further.pop("end", None))
    return load_pipeline("flights").model_copy(update={"schedule": schedule, **further})


def at(hour: int, minute: int = 0, day: int = 1, month: int = 7) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=NEW_YORK)


@pytest.fixture(scope="module")
def retrain() -> DAG:
    return retrain_dag("flights")


# --- How long a person may take -------------------------------------------------------------------


def test_an_answer_comes_before_the_next_night() -> None:
    now = at(3, 30).astimezone(UTC)
    assert now + answer_time(flights(), now) == at(2, day=2) - MARGIN


def test_the_hour_that_the_clocks_lose_is_no_hour_to_answer_in() -> None:
    # Two o'clock does not exist on the next day: the night starts 23 hours after this moment.
    assert answer_time(flights(), at(3, day=7, month=3)) == timedelta(hours=23) - MARGIN


def test_shortly_before_a_night_half_of_what_is_left() -> None:
    assert answer_time(flights(), at(1, 50)) == timedelta(minutes=5)


def test_without_a_schedule_a_day() -> None:
    assert answer_time(flights(None), at(3)) == timedelta(days=1)
    assert answer_time(flights(end=date(2013, 12, 31)), at(3)) == timedelta(days=1)


def test_a_period_that_has_begun_before_the_schedules_end_still_has_its_night() -> None:
    yearly = flights("0 2 1 1 *", end=date(2026, 3, 1))
    assert answer_time(yearly, at(3)) > timedelta(days=180)
    assert answer_time(yearly, datetime(2027, 1, 1, 3, tzinfo=NEW_YORK)) == timedelta(days=1)


def test_the_definition_can_shorten_the_wait_and_not_lengthen_it() -> None:
    short, long = Approval(within_minutes=30), Approval(within_minutes=100_000)
    assert answer_time(flights(approval=short), at(3)) == timedelta(minutes=30)
    assert answer_time(flights(approval=long), at(3)) == answer_time(flights(), at(3))


# --- The task -------------------------------------------------------------------------------------


def test_it_is_airflows_own_approval_and_holds_no_heavy_slot(retrain: DAG) -> None:
    approve = retrain.get_task("approve")
    assert isinstance(approve, ApprovalOperator)
    assert approve.defaults == [ApprovalOperator.REJECT]
    assert approve.pool == "default_pool"


def test_it_keeps_what_registration_needs(retrain: DAG) -> None:
    approve, register = retrain.get_task("approve"), retrain.get_task("register")
    assert set(approve.inputs) == set(register.inputs) >= {"snapshot", "train", "gate"}


def heard(approve: ApproveOperator, **event: object) -> Decision | None:
    ref = ArtifactRef(kind="gate", key="g", uri="s3://b/g", digest="d")
    case = Case(date(2013, 8, 31), ref, ref, GateVerdict.INCONCLUSIVE, "auc")
    run = type("Run", (), {"dag_id": "retrain_flights", "run_id": "1"})()
    return approve._heard({"dag_run": run}, case, event)


def test_an_answer_has_the_users_name_and_reason(retrain: DAG) -> None:
    answer = {"chosen_options": ["Approve"], "params_input": {"reason": " we looked "}}
    decision = heard(
        retrain.get_task("approve"), **answer, responded_by_user={"id": "7", "name": "ada"}
    )
    assert decision is not None
    assert (decision.kind, decision.by) == (DecisionKind.APPROVED, "ada (7)")
    assert decision.reason == "we looked"


def test_an_answer_without_a_reason_is_none(retrain: DAG) -> None:
    answer = {"chosen_options": ["Approve"], "params_input": {"reason": " "}}
    user = {"id": "ada", "name": "ada"}
    assert heard(retrain.get_task("approve"), **answer, responded_by_user=user) is None


def test_nobodys_answer_is_a_no(retrain: DAG) -> None:
    decision = heard(
        retrain.get_task("approve"),
        chosen_options=["Reject"],
        params_input={"reason": ""},
        responded_by_user=None,
        timedout=True,
    )
    assert decision is not None
    assert (decision.kind, decision.by) == (DecisionKind.TIMED_OUT, "the clock")


# --- The override ---------------------------------------------------------------------------------


def test_an_override_is_only_by_form_and_registers_after_its_entry() -> None:
    override = override_dag("flights")
    assert override.timetable.can_be_scheduled is False
    assert override.get_task("register").upstream_task_ids == {"override"}


@pytest.mark.parametrize("missing", ["night", "reason"])
def test_the_form_asks_for_night_and_reason(missing: str) -> None:
    params = override_dag("flights").params
    given = {"night": "2013-08-31", "reason": "we looked"}
    params.update({name: value for name, value in given.items() if name != missing})
    with pytest.raises(ParamValidationError):
        params.validate()


def test_an_empty_reason_is_none() -> None:
    params = override_dag("flights").params
    with pytest.raises(ParamValidationError):
        params["reason"] = ""
