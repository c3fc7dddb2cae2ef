"""Roll back from Airflow: ask once, then wait without a worker until every host has followed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from nightshift.errors import BadDefinitionError, NightshiftError
from nightshift_airflow.hooks.storage import S3_CONNECTION, StorageHook
from nightshift_airflow.links.artifacts import RELEASE_LINKS
from nightshift_airflow.operators.failure import ERROR_XCOM, fail_task
from nightshift_airflow.routes.addresses import release_page
from nightshift_airflow.run_identity import run_by
from nightshift_airflow.triggers.rollback import RollbackTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class RollbackOperator(BaseOperator):
    """Leave the newest version of the form's pipeline for an earlier one.

    A task that is tried again finds its own entry in the log and does not go back one further.

    Args:
        s3_conn_id: The ``aws`` connection of the object store.

    Returns (XCom): ``{"pipeline", "number", "from_version", "to_version", "release_id",
    "patience_seconds"}``.
    """

    ui_color = "#ffebee"

    def __init__(self, *, s3_conn_id: str = S3_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.s3_conn_id = s3_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Append the roll-back to the release log, once."""
        from nightshift.release import requests

        params = context["params"]
        try:
            pipeline = str(params.get("pipeline") or "")
            if not pipeline:
                raise BadDefinitionError("Choose the pipeline whose version is to be left.")
            state = requests.rollback(
                StorageHook(self.s3_conn_id).bucket(),
                pipeline,
                by=run_by(context["dag_run"]),
                reason=str(params["reason"]),
                to_version=params.get("to_version"),
                once=True,
            )
        except NightshiftError as error:
            fail_task(context, error)
        self.log.warning(
            "%s: from version %s to %s", pipeline, state.from_version, state.to_version
        )
        return {"pipeline": pipeline, **state.model_dump(mode="json")}


class AwaitRollbackOperator(BaseOperator):
    """Wait until every serving host routes as the roll-back says.

    Args:
        asked: What :class:`RollbackOperator` returned. (templated)
        s3_conn_id: The ``aws`` connection of the object store.
    """

    template_fields: Sequence[str] = ("asked",)
    operator_extra_links = RELEASE_LINKS
    ui_color = "#ffebee"

    def __init__(self, *, asked: Any, s3_conn_id: str = S3_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.asked = asked
        self.s3_conn_id = s3_conn_id
        self.release_url = ""

    def execute(self, context: Context) -> None:
        """Hand over to the triggerer."""
        self.release_url = release_page(self.asked["pipeline"])
        os.environ.update(StorageHook(self.s3_conn_id).environment())
        self.defer(
            trigger=RollbackTrigger(
                self.asked["pipeline"], self.asked["release_id"], self.s3_conn_id
            ),
            method_name="resume",
            timeout=timedelta(seconds=self.asked["patience_seconds"]),
        )

    def resume(self, context: Context, event: dict[str, Any]) -> list[str]:
        """Called once all hosts have followed, or the staging of the old version failed."""
        self.release_url = release_page(self.asked["pipeline"])
        if event["error"]:
            context["ti"].xcom_push(key=ERROR_XCOM, value=str(event["error"])[:4000])
            raise AirflowFailException(str(event["error"]))
        self.log.info("Version %s is live on %s", self.asked["to_version"], event["hosts"])
        return list(event["hosts"])
