"""Ask for a release and watch it. Nothing here moves a route: the serving agents do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from nightshift.definition.load import load_pipeline
from nightshift.errors import BadDefinitionError, NightshiftError, RefusedError
from nightshift_airflow.hooks.storage import S3_CONNECTION, StorageHook
from nightshift_airflow.links.artifacts import RELEASE_LINKS
from nightshift_airflow.operators.failure import ERROR_XCOM, fail_task
from nightshift_airflow.routes.addresses import release_page
from nightshift_airflow.run_identity import run_by
from nightshift_airflow.triggers.release import ReleaseTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightshift.release.candidate import Candidate
    from nightshift.release.machine import ReleaseUnderWayError
    from nightshift.release.requests import ReleaseState


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
        from nightshift.release.machine import ReleaseUnderWayError
        from nightshift.release.recording_plan import declare
        from nightshift.tracking.registry import Registry

        definition = load_pipeline(self.pipeline)
        params, plan = context["params"], definition.release
        try:
            bucket = StorageHook(self.s3_conn_id).bucket()
            version = params.get("version") or _announced(context)
            candidate = Registry(bucket, self.pipeline).version(int(version))
            declare(bucket, definition)
            release_id = requests.ask(
                bucket,
                self.pipeline,
                candidate,
                by=run_by(context["dag_run"]),
                reason=params.get("reason") or _why(candidate),
                override=bool(params.get("override")),
                timeout_seconds=plan.load_timeout_seconds,
                rollout=plan.rollout,
            )
        except ReleaseUnderWayError as error:
            self._wait_for_the_other(error)
        except RefusedError as error:
            self.log.warning("Not released: %s", error.message)
            raise AirflowSkipException(error.message) from None
        except NightshiftError as error:
            fail_task(context, error)
        self.log.info("%s version %s: release %s", self.pipeline, version, release_id)
        return {"version": int(version), "release_id": release_id}

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """The other release has ended: ask again."""
        self.log.info("%s", event["message"])
        return self.execute(context)

    def _wait_for_the_other(self, error: ReleaseUnderWayError) -> NoReturn:
        self.log.info("%s Asking again when it has ended.", error.message)
        other = str(error.facts["release"])
        self.defer(
            trigger=ReleaseTrigger(self.pipeline, other, self.s3_conn_id, asked=None),
            method_name="resume",
        )
        raise AssertionError("unreachable")


class WatchReleaseOperator(BaseOperator):
    """Wait until a release ends or asks a person, without a worker; red where it was rolled back.

    A cleared task goes on watching: the release itself neither knows nor needs it.

    Args:
        pipeline: Name of the pipeline's folder.
        release_id: What :class:`RequestReleaseOperator` returned. (templated)
        s3_conn_id: The ``aws`` connection of the object store.

    Returns (XCom): ``{"phase": …, "version": number, "question": what is asked, or None}``.
    """

    template_fields: Sequence[str] = ("release_id",)
    operator_extra_links = RELEASE_LINKS
    ui_color = "#ede7f6"

    def __init__(
        self, *, pipeline: str, release_id: str, s3_conn_id: str = S3_CONNECTION, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.release_id = release_id
        self.s3_conn_id = s3_conn_id
        self.release_url = release_page(pipeline)

    def execute(self, context: Context) -> dict[str, Any]:
        """Look once; if the release is under way, hand over to the triggerer."""
        state = release_state(self.s3_conn_id, self.pipeline, self.release_id)
        self.log.info("Release %s: %s", self.release_id, state.message)
        if state.ended or state.question:
            return conclude(context, state.model_dump(mode="json"))
        self.defer(
            trigger=ReleaseTrigger(self.pipeline, self.release_id, self.s3_conn_id),
            method_name="resume",
        )
        raise AssertionError("unreachable")

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Called with the state of a release that has ended, or asks."""
        self.log.info("Release %s: %s", self.release_id, event["message"])
        return conclude(context, event)


def release_state(s3_conn_id: str, pipeline: str, release_id: str) -> ReleaseState:
    """How a release stands now."""
    from nightshift.release.requests import watch

    storage = StorageHook(s3_conn_id)
    os.environ.update(storage.environment())
    return watch(storage.bucket(), pipeline, release_id)


def conclude(context: Context, state: dict[str, Any]) -> dict[str, Any]:
    """What a watching task returns; red where the release ended without its version live."""
    if state["ended"] and not state["succeeded"]:
        context["ti"].xcom_push(key=ERROR_XCOM, value=str(state["message"])[:4000])
        raise AirflowFailException(str(state["message"]))
    kept = ("phase", "version", "question", "message")
    return {name: state[name] for name in kept}


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
