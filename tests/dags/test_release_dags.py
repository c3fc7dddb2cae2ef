"""The release's question, the roll-back's form: what their tasks are."""

from __future__ import annotations

import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import ParamValidationError

from nightshift.definition.folders import pipeline_names
from nightshift_airflow.links.artifacts import ReleaseLink
from nightshift_airflow.operators.release import WatchReleaseOperator
from nightshift_airflow.release import release_dag
from nightshift_airflow.rollback import rollback_dag
from nightshift_airflow.triggers.release import ReleaseTrigger
from nightshift_airflow.triggers.rollback import RollbackTrigger


def test_a_question_is_asked_after_the_watch_and_beside_another_release_s() -> None:
    dag = release_dag("flights")
    assert isinstance(dag.get_task("watch"), WatchReleaseOperator)
    assert isinstance(dag.get_task("answer"), ApprovalOperator)
    assert "watch" in dag.get_task("answer").upstream_task_ids
    # One at a time is the log's to see to: a run that waits for a person would hold up the next
    # night's, which may supersede it.
    assert dag.max_active_runs > 1


def test_the_release_is_one_click_from_its_tasks() -> None:
    watch = release_dag("flights").get_task("watch")
    links = [link for link in watch.operator_extra_links if isinstance(link, ReleaseLink)]
    assert [link.get_link(watch, ti_key=None) for link in links] == ["/nightshift/releases/flights"]


def test_the_form_of_a_roll_back_names_every_pipeline_and_asks_why() -> None:
    dag = rollback_dag()
    assert dag.params.get_param("pipeline").schema["enum"] == [None, *pipeline_names()]
    with pytest.raises(ParamValidationError):
        dag.params.get_param("reason").resolve("")
    assert dag.get_task("on_every_host").upstream_task_ids == {"rollback"}


@pytest.mark.parametrize(
    "trigger",
    [
        ReleaseTrigger("flights", "00000001", "s3", asked=["quiet"]),
        ReleaseTrigger("flights", "00000001", "s3", asked=None),
        RollbackTrigger("flights", None, "s3"),
    ],
    ids=["release", "release to its end", "rollback"],
)
def test_a_trigger_can_be_made_again_after_a_restart(
    trigger: ReleaseTrigger | RollbackTrigger,
) -> None:
    path, arguments = trigger.serialize()
    assert path == f"{type(trigger).__module__}.{type(trigger).__qualname__}"
    assert type(trigger)(**arguments).serialize() == (path, arguments)
