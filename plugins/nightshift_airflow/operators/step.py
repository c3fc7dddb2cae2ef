"""The one operator that runs steps; each kind of step is a small subclass (see ``steps.py``)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.definition.load import load_pipeline
from nightshift.definition.model import PipelineDefinition
from nightshift.errors import NightshiftError, StepError
from nightshift.steps.catalog import StepSpec
from nightshift.steps.contract import StepRequest, StepResult
from nightshift_airflow.hooks.storage import S3_CONNECTION, StorageHook
from nightshift_airflow.hooks.tracking import MLFLOW_CONNECTION, MlflowHook
from nightshift_airflow.links.artifacts import STEP_LINKS
from nightshift_airflow.operators.failure import fail_task
from nightshift_airflow.routes.addresses import artifact_page, object_page
from nightshift_airflow.run_identity import RunIdentity

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from nightshift.steps.launch import StepProcess
    from nightshift.tracking.runs import RunTracker

HEAVY_POOL = "nightshift_heavy"
"""Holds as many slots as the machine can train and validate side by side."""


def references(inputs: Mapping[str, Any]) -> dict[str, ArtifactRef]:
    """References by input name; of a mapped step's tasks as ``<step>.<instance>``."""
    found: dict[str, ArtifactRef] = {}
    for name, given in inputs.items():
        if isinstance(given, Mapping | ArtifactRef):
            found[name] = ArtifactRef.model_validate(given)
            continue
        for returned in given:
            found[f"{name}.{returned['instance']}"] = ArtifactRef.model_validate(
                returned["artifact"]
            )
    return found


class StepOperator(BaseOperator):
    """Run one step as a process of its own, or reuse what it committed before.

    Args:
        pipeline: Name of the pipeline's folder.
        inputs: For each input of the step the reference that the earlier task returned; of a
            mapped step that is read whole, all that its tasks returned. (templated)
        s3_conn_id: The ``aws`` connection of the object store.
        mlflow_conn_id: The ``http`` connection of MLflow.

    Returns (XCom): ``{"artifact": reference, "metrics": numbers, "reused": bool,
    "tensorflow": bool}``; a mapped one also its ``"instance"``.

    A foreseen error that cannot go away by itself fails the task at once; a lost connection or a
    dead process is retried with back-off.
    """

    spec: ClassVar[StepSpec]
    template_fields: Sequence[str] = ("inputs",)
    operator_extra_links = STEP_LINKS
    ui_color = "#e8eef7"

    def __init__(
        self,
        *,
        pipeline: str,
        inputs: dict[str, Any] | None = None,
        s3_conn_id: str = S3_CONNECTION,
        mlflow_conn_id: str = MLFLOW_CONNECTION,
        **kwargs: Any,
    ) -> None:
        if self.spec.heavy:
            kwargs.setdefault("pool", HEAVY_POOL)
        # Tasks further down ask for one entry of what this one returns.
        super().__init__(multiple_outputs=True, **kwargs)
        self.pipeline = pipeline
        self.inputs = inputs or {}
        self.s3_conn_id = s3_conn_id
        self.mlflow_conn_id = mlflow_conn_id
        self.report_url = ""
        self.artifact_url = ""
        self.run_url = ""
        self._process: StepProcess | None = None
        self._request: StepRequest | None = None
        self._made: ArtifactRef | None = None

    @property
    def instance(self) -> str:
        """Which one of a mapped step's tasks this is; empty for all others."""
        return ""

    def own(self, definition: PipelineDefinition) -> dict[str, Any]:
        """Values of the parameters in ``spec.own``."""
        return {}

    @property
    def reference(self) -> Any:
        """The reference to what this task will make, for the inputs of the tasks after it."""
        output: Any = self.output
        return output["artifact"]

    def execute(self, context: Context) -> dict[str, Any]:
        """Plan the step, run or reuse it, tell MLflow, leave references behind."""
        from nightshift.steps.lifeline import die_with_parent

        # This process is the step's parent; Airflow's supervisor is ours. Where that one is
        # killed, we must not live on beside the retry, and our end ends the step.
        die_with_parent()
        try:
            return self._execute(context)
        except NightshiftError as error:
            self._fail(context, StepError(kind=error.kind, message=error.message))

    def further_environment(self, request: StepRequest) -> dict[str, str]:
        """What the step's process needs beside S3; only asked for where it is to run."""
        return {}

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage | None:
        """What the step read and made; asked for by OpenLineage's listener, after failures too."""
        if self._request is None:
            return None
        from nightshift_airflow.openlineage_datasets import step_lineage

        store = StorageHook(self.s3_conn_id).get_conn()
        return step_lineage(store, self._request, self._made, self.spec.reads, self.instance)

    def on_kill(self) -> None:
        """End the step's whole process group."""
        if self._process is not None:
            self._process.kill()

    def _execute(self, context: Context) -> dict[str, Any]:
        identity = RunIdentity.of(context, load_pipeline(self.pipeline))
        storage = StorageHook(self.s3_conn_id)
        environment = storage.environment()
        os.environ.update(environment)
        request = self._request = self._plan(identity)
        mlflow = MlflowHook(self.mlflow_conn_id)
        tracker = mlflow.tracker(self.pipeline, storage.bucket())
        result = self._run(request, storage.environment_of_steps(), tracker)
        if result.error:
            self._tell_failure(tracker, request, result.error.message)
            self._fail(context, result.error)
        assert result.artifact is not None
        self._made = result.artifact
        tracker.log_step(request, result)
        pin = tracker.find(request.night)
        self.run_url = mlflow.run_url(pin) if pin else ""
        self._show(result)
        self._settle(request, result, tracker)
        return {
            "artifact": result.artifact.model_dump(mode="json"),
            "metrics": result.metrics,
            "reused": result.reused,
            "tensorflow": result.tensorflow,
            **({"instance": self.instance} if self.instance else {}),
        }

    def _plan(self, identity: RunIdentity) -> StepRequest:
        from nightshift.steps.plan import plan_step

        return plan_step(
            self.spec,
            identity.definition,
            identity.night,
            references(self.inputs),
            own=self.own(identity.definition),
            by=identity.by,
            nonce=identity.nonce if self.spec.by_night else "",
        )

    def _run(
        self, request: StepRequest, environment: dict[str, str], tracker: RunTracker
    ) -> StepResult:
        from nightshift.artifacts.store import ArtifactStore
        from nightshift.steps.launch import StepProcess
        from nightshift.steps.run import result_of

        store = ArtifactStore(tracker.bucket)
        existing = store.find(request.pipeline, self.spec.kind, request.key)
        if existing:
            self.log.info(
                "Reused: %s was made for the same input by %s.",
                existing.ref.uri,
                existing.manifest.by or "an earlier run",
            )
            return result_of(existing, store, reused=True)
        self._process = StepProcess(request, {**environment, **self.further_environment(request)})
        # MLflow's client takes more than a second to import: let it, while the step works.
        with ThreadPoolExecutor(1) as pool:
            ready: Future[Any] = pool.submit(tracker.ensure, request.night)
            result = self._process.run(lambda line: self.log.info("%s", line))
        failed = ready.exception()
        if failed and not result.error:
            raise failed
        return result

    def _show(self, result: StepResult) -> None:
        assert result.artifact is not None
        self.artifact_url = artifact_page(result.artifact.uri)
        if result.reports:
            self.report_url = object_page(next(iter(result.reports.values())))
        for title, uri in result.reports.items():
            self.log.info("%s: %s", title, object_page(uri))
        numbers = ", ".join(f"{k} {v:g}" for k, v in list(result.metrics.items())[:12])
        how = "reused" if result.reused else f"made in {result.seconds:.1f} s"
        self.log.info("%s %s: %s", self.spec.kind, how, numbers or result.artifact.uri)

    def _settle(self, request: StepRequest, result: StepResult, tracker: RunTracker) -> None:
        """What follows from a committed artifact; raises where the task is red all the same."""

    def _tell_failure(self, tracker: RunTracker, request: StepRequest, message: str) -> None:
        try:
            tracker.log_failure(request.night, request.step, message)
        except NightshiftError as second:  # the step's own error is the one that matters
            self.log.warning("MLflow was not told: %s", second)

    def _fail(self, context: Context, error: StepError) -> NoReturn:
        if error.report:
            self.report_url = object_page(error.report)
            self.log.error("Report: %s", self.report_url)
        self.log.error("%s", error.message)
        fail_task(context, error)
