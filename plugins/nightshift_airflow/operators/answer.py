"""Ask a person what a release asks, on Airflow's own page for required actions."""

from __future__ import annotations

import os
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
from nightshift_airflow.routes.addresses import release_page

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightshift.release.requests import ReleaseState

REASON = "reason"


class AnswerReleaseOperator(ApprovalOperator):
    """Bring a person's answer into the release log; skipped where the release asks nothing.

    The question holds no worker slot. Without an answer the release ends by itself, as
    ``release.answer_seconds`` says; an answer by ``./nightshift answer`` counts as well.

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
        try:
            state = self._state()
        except NightshiftError as error:
            fail_task(context, error)
        if state.question is None:
            raise AirflowSkipException("The release asks nothing.")
        self.subject = f"{self.pipeline} version {state.version}: shall the release go on?"
        self.body = (
            f"{state.message}\n\n[The release as it goes]({self.release_url})\n\n**Approve** lets "
            "it go on. **Reject** ends it and refuses this version for good; the live version "
            "goes on serving, as it does until you answer."
        )
        limit = load_pipeline(self.pipeline).release.answer_seconds
        self.response_timeout = timedelta(seconds=limit)
        reason = Param("", type="string", title="Reason", description="Why?", source="task")
        self.params = ParamsDict({REASON: reason})
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Called with the answer, or with nobody's."""
        from nightshift.release import requests

        user = event.get("responded_by_user")
        if event.get("timedout") or user is None:
            self.log.warning("Nobody answered in time; the release ends by itself.")
            return None
        reason = str((event.get("params_input") or {}).get(REASON) or "").strip()
        go_on = event["chosen_options"] == [self.APPROVE]
        bucket = StorageHook(self.s3_conn_id).bucket()
        try:
            requests.answer(
                bucket,
                self.pipeline,
                go_on=go_on,
                by=str(user["name"]),
                reason=reason or "no reason given",
            )
        except RefusedError as error:
            self.log.warning("%s", error.message)
        except NightshiftError as error:
            fail_task(context, error)
        return {"go_on": go_on, "by": str(user["name"]), "reason": reason}

    def _state(self) -> ReleaseState:
        from nightshift.release.requests import watch

        storage = StorageHook(self.s3_conn_id)
        os.environ.update(storage.environment())
        return watch(storage.bucket(), self.pipeline, self.release_id)
