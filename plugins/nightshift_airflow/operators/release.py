"""Ask for a release and watch it. Nothing here moves a route: the serving agents do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from nightshift.definition import load_pipeline
from nightshift.errors import BadDefinitionError, NightshiftError, RefusedError
from nightshift_airflow.hooks.storage import S3_CONNECTION, StorageHook
from nightshift_airflow.operators.failure import ERROR_XCOM, fail_task
from nightshift_airflow.run_identity import run_by
from nightshift_airflow.triggers.release import ReleaseTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightshift.release.candidate import Candidate


class RequestReleaseOperator(BaseOperator):
    """Ask for the release of the version that the form or the asset event names.

    Asking again for the same version is the same release. A version that the record refuses
    (rejected earlier, older data than the live one, a gate that failed and was not overridden)
    skips the run and says why.

    Args:
        pipeline: Name of the pipeline's folder.
        s3_conn_id: The ``aws`` connection of the object store.

    Returns (XCom): ``{"version": number, "release_id": id}``.
    """

    ui_color = "#ede7f6"

    def __init__(self, *, pipeline: str, s3_conn_id: str = S3_CONNECTION, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.pipeline = pipeline
        self.s3_conn_id = s3_conn_id

    @property
    def release_id(self) -> Any:
        """The id of the release that this task will have asked for."""
        output: Any = self.output
        return output["release_id"]

    def execute(self, context: Context) -> dict[str, Any]:
        """Append the request to the release log, or find that it is there."""
        from nightshift.release import requests
        from nightshift.tracking.registry import Registry

        params = context["params"]
        try:
            bucket = StorageHook(self.s3_conn_id).bucket()
            version = params.get("version") or _announced(context)
            candidate = Registry(bucket, self.pipeline).version(int(version))
            release_id = requests.ask(
                bucket,
                self.pipeline,
                candidate,
                by=run_by(context["dag_run"]),
                reason=params.get("reason") or _why(candidate),
                override=bool(params.get("override")),
                timeout_seconds=load_pipeline(self.pipeline).release.load_timeout_seconds,
            )
        except RefusedError as error:
            self.log.warning("Not released: %s", error.message)
            raise AirflowSkipException(error.message) from None
        except NightshiftError as error:
            fail_task(context, error)
        self.log.info("%s version %s: release %s", self.pipeline, version, release_id)
        return {"version": int(version), "release_id": release_id}


class WatchReleaseOperator(BaseOperator):
    """Wait for a release to end, without holding a worker; red where it was rolled back.

    Args:
        pipeline: Name of the pipeline's folder.
        release_id: What :class:`RequestReleaseOperator` returned. (templated)
        limit_seconds: How long to watch. The release itself goes on or rolls back without us.
        s3_conn_id: The ``aws`` connection of the object store.
    """

    template_fields: Sequence[str] = ("release_id",)
    ui_color = "#ede7f6"

    def __init__(
        self,
        *,
        pipeline: str,
        release_id: str,
        limit_seconds: float,
        s3_conn_id: str = S3_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.release_id = release_id
        self.limit_seconds = limit_seconds
        self.s3_conn_id = s3_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Look once; if the release is under way, hand over to the triggerer."""
        from nightshift.release.requests import watch

        environment = StorageHook(self.s3_conn_id).environment()
        os.environ.update(environment)
        state = watch(StorageHook(self.s3_conn_id).bucket(), self.pipeline, self.release_id)
        if state.ended:
            return self._finish(context, state.model_dump(mode="json"))
        self.log.info("Release %s: %s. Waiting.", self.release_id, state.message)
        self.defer(
            trigger=ReleaseTrigger(self.pipeline, self.release_id, self.s3_conn_id),
            method_name="resume",
            timeout=timedelta(seconds=self.limit_seconds),
        )
        raise AssertionError("unreachable")

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Called with the ended release's state."""
        return self._finish(context, event)

    def _finish(self, context: Context, state: dict[str, Any]) -> dict[str, Any]:
        self.log.info("Release %s: %s", self.release_id, state["message"])
        if not state["succeeded"]:
            context["ti"].xcom_push(key=ERROR_XCOM, value=str(state["message"])[:4000])
            raise AirflowFailException(str(state["message"]))
        return {"phase": state["phase"], "version": state["version"]}


def _why(candidate: Candidate) -> str:
    return str(candidate.decision or "registered by its night's run")


def _announced(context: Context) -> int:
    """The newest version among the asset events that started this run."""
    events = [e for found in context["triggering_asset_events"].values() for e in found]
    versions = [int(e.extra["version"]) for e in events if e.extra and "version" in e.extra]
    if not versions:
        raise BadDefinitionError(
            "This run was not started by a registered version. Trigger it again and fill in "
            "'version'."
        )
    return max(versions)
