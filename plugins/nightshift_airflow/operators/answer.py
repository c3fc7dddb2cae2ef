"""Ask a person what a release asks, on Airflow's own page for required actions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowSkipException

from nightshift.definition.load import load_pipeline
from nightshift.errors import NightshiftError, RefusedError
from nightshift_airflow.hooks.storage import S3_CONNECTION, StorageHook
from nightshift_airflow.links.artifacts import RELEASE_LINKS
from nightshift_airflow.operators.failure import fail_task
from nightshift_airflow.operators.release import conclude, release_state
from nightshift_airflow.routes.addresses import release_page
from nightshift_airflow.triggers.release import ReleaseTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightshift.release.requests import ReleaseState

REASON = "reason"
ASKED_XCOM = "asked"


class AnswerReleaseOperator(ApprovalOperator):
    """Bring people's answers into the release log, until the release has ended.

    Skipped where it has ended well without a question. A question holds no worker slot. Without an
    answer the release ends by itself, as ``release.answer_seconds`` says; an answer by
    ``./nightshift answer`` counts as well. What was agreed to is one question of one release: an
    answer to a page that was left open says nothing about a later one.

    Args:
        pipeline: Name of the pipeline's folder.
        release_id: The release. (templated)
        s3_conn_id: The ``aws`` connection of the object store.
    """

    template_fields: Sequence[str] = (*ApprovalOperator.template_fields, "release_id")
    operator_extra_links = RELEASE_LINKS
    ui_color = "#fce4ec"

    def __init__(
        self, *, pipeline: str, release_id: str, s3_conn_id: str = S3_CONNECTION, **kwargs: Any
    ) -> None:
        super().__init__(subject=f"{pipeline}: shall the release go on?", **kwargs)
        self.pipeline = pipeline
        self.release_id = release_id
        self.s3_conn_id = s3_conn_id
        self.release_url = release_page(pipeline)

    def execute(self, context: Context) -> Any:
        """Ask, and wait without a worker."""
        state = self._state(context)
        if state.ended and state.succeeded:
            raise AirflowSkipException("The release has ended, and asks nothing.")
        return self._go_on(context, state.model_dump(mode="json"))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Called with an answer, or with nobody's."""
        user = event.get("responded_by_user")
        if event.get("timedout") or user is None:
            self.log.warning("Nobody answered in time; the release ends by itself.")
        else:
            self._tell(context, event, str(user["name"]))
        return self._wait(context)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Called once the release has ended, or asks something else."""
        return self._go_on(context, event)

    def _go_on(self, context: Context, state: dict[str, Any]) -> Any:
        if state["ended"]:
            return conclude(context, state)
        if state["question"] is None or state["question"] in self._answered(context):
            return self._wait(context)
        self._pose(context, state)
        return super().execute(context)

    def _pose(self, context: Context, state: dict[str, Any]) -> None:
        """What the page says, the field that it has, and how long it waits."""
        self.subject = f"{self.pipeline} version {state['version']}: shall the release go on?"
        self.body = (
            f"{state['message']}\n\n[The release as it goes]({self.release_url})\n\n**Approve** "
            "lets it go on. **Reject** ends it and refuses this version for good; the live version "
            "goes on serving, as it does until you answer."
        )
        limit = load_pipeline(self.pipeline).release.answer_seconds
        self.response_timeout = timedelta(seconds=limit)
        reason = Param("", type="string", title="Reason", description="Why?", source="task")
        self.params = ParamsDict({REASON: reason})
        asked = [*self._answered(context), state["question"]]
        context["ti"].xcom_push(key=ASKED_XCOM, value=asked)

    def _answered(self, context: Context) -> list[str]:
        """What this task has asked, the newest question last: a release asks nothing twice."""
        asked = context["ti"].xcom_pull(task_ids=self.task_id, key=ASKED_XCOM)
        return [str(about) for about in asked or ()]

    def _tell(self, context: Context, event: dict[str, Any], name: str) -> None:
        from nightshift.release import requests
        from nightshift.release.record import About

        reason = str((event.get("params_input") or {}).get(REASON) or "").strip()
        try:
            requests.answer(
                StorageHook(self.s3_conn_id).bucket(),
                self.pipeline,
                go_on=event["chosen_options"] == [self.APPROVE],
                by=name,
                reason=reason or "no reason given",
                release_id=self.release_id,
                about=About(self._answered(context)[-1]),
            )
        except RefusedError as error:
            self.log.warning("%s", error.message)
        except NightshiftError as error:
            fail_task(context, error)

    def _wait(self, context: Context) -> Any:
        """Until the release has ended, or asks something else."""
        state = self._state(context)
        if state.ended:
            return conclude(context, state.model_dump(mode="json"))
        self.log.info("Release %s: %s. Waiting.", self.release_id, state.message)
        trigger = ReleaseTrigger(
            self.pipeline, self.release_id, self.s3_conn_id, asked=self._answered(context)
        )
        self.defer(trigger=trigger, method_name="resume")
        raise AssertionError("unreachable")

    def _state(self, context: Context) -> ReleaseState:
        try:
            return release_state(self.s3_conn_id, self.pipeline, self.release_id)
        except NightshiftError as error:
            fail_task(context, error)
