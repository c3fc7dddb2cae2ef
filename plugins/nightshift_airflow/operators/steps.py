"""One operator per kind of step: the step's contract is in the catalog, its colour here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.definition.compression import Target
from nightshift.definition.model import PipelineDefinition
from nightshift.definition.training import Cluster, Training
from nightshift.errors import GateFailedError
from nightshift.gates.decision import DecisionKind, Outcome
from nightshift.gates.verdict import GateVerdict
from nightshift.steps import catalog
from nightshift.steps.contract import StepRequest
from nightshift_airflow.hooks.cluster import RayClusterHook
from nightshift_airflow.hooks.storage import StorageHook
from nightshift_airflow.hooks.tracking import MlflowHook
from nightshift_airflow.links.artifacts import TRAIN_LINKS
from nightshift_airflow.operators.step import StepOperator, references
from nightshift_airflow.routes.addresses import recording_page

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightshift.steps.contract import StepResult
    from nightshift.tracking.runs import RunTracker


class SnapshotOperator(StepOperator):
    """Pin the window's files of the lake, and the baseline that the night is compared with."""

    spec = catalog.SNAPSHOT
    ui_color = "#e3f2fd"


class StatisticsOperator(StepOperator):
    """TFDV statistics, schema check and drift; an anomaly of severity error stops the run."""

    spec = catalog.STATISTICS
    ui_color = "#e0f2f1"


class ExpectationsOperator(StepOperator):
    """Great Expectations over the same data, with Data Docs."""

    spec = catalog.EXPECTATIONS
    ui_color = "#e0f2f1"


class TuneOperator(StepOperator):
    """Search the parameters of ``tuning.space``; the best feed training."""

    spec = catalog.TUNE
    ui_color = "#fff3e0"


class TrainOperator(StepOperator):
    """Fit the model and export it with its serving signature."""

    spec = catalog.TRAIN
    operator_extra_links = TRAIN_LINKS
    ui_color = "#fff3e0"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tensorboard_url = ""

    def _show(self, result: StepResult) -> None:
        super()._show(result)
        recorded = result.facts.get("tensorboard")
        if recorded:
            self.tensorboard_url = recording_page(recorded)

    def further_environment(self, request: StepRequest) -> dict[str, str]:
        """Where the Ray cluster is, if the training is to run on one."""
        on_ray = request.section("training", Training).cluster is Cluster.RAY
        return RayClusterHook().environment() if on_ray else {}


class EvaluateOperator(StepOperator):
    """Candidate and champion on the same holdout, overall and by slice."""

    spec = catalog.EVALUATE
    ui_color = "#fff3e0"


class GateOperator(StepOperator):
    """Judge every rule. Red where the gate failed: the champion goes on serving.

    A failed gate is an artifact like any other, so a cleared task fails again at once; and it is
    written down as a *no* to its model, which other rules do not change. Only an override does.

    Args (further): ``inputs`` may hold more than the step reads: all that the run has made is kept
    beside the *no*, for an override to register.
    """

    spec = catalog.GATE
    ui_color = "#fce4ec"

    def _run(
        self, request: StepRequest, environment: dict[str, str], tracker: RunTracker
    ) -> StepResult:
        result = super()._run(request, environment, tracker)
        return result if result.error else self._with_asking(request, result, tracker)

    def _with_asking(
        self, request: StepRequest, result: StepResult, tracker: RunTracker
    ) -> StepResult:
        """The result, with how often nights ask a person among its metrics and tags."""
        from nightshift.definition.load import load_pipeline
        from nightshift.gates.asking import METRIC, asking

        approval = load_pipeline(self.pipeline).approval
        asks = result.facts["verdict"] == GateVerdict.INCONCLUSIVE
        often = asking(tracker.bucket, self.pipeline, request.night, approval, asks=asks)
        alarm = often.alarm(approval)
        if alarm:
            self.log.warning("%s: %s", self.pipeline, alarm)
        tags = {**result.facts.get("tags", {}), **({"nightshift.alarm": alarm} if alarm else {})}
        return result.model_copy(
            update={
                "metrics": {**result.metrics, METRIC: often.share},
                "facts": {**result.facts, "tags": tags},
            }
        )

    def _settle(self, request: StepRequest, result: StepResult, tracker: RunTracker) -> None:
        from nightshift.gates.decisions import Decisions, refusal

        assert result.artifact is not None
        decisions = Decisions(tracker.bucket, self.pipeline)
        case = decisions.case(result.artifact)
        self.log.info("The gate is %s. %s", case.verdict, case.message)
        if case.verdict is not GateVerdict.FAILED:
            return
        no = case.decided(
            DecisionKind.FAILED,
            by="the gate",
            reason=case.message or "a rule failed",
            at=datetime.now(UTC),
            run=request.by,
        )
        decisions.record(no, {**references(self.inputs), "gate": result.artifact})
        stands = decisions.standing(case)
        if stands.outcome is Outcome.RELEASE:
            self.log.warning("The gate failed and was %s", stands.decision)
            return
        message = case.message or refusal(case, stands)
        self._tell_failure(tracker, request, message)
        raise GateFailedError(message)


class AuditOperator(StepOperator):
    """TensorFlow Model Analysis measures the same predictions; red where the two disagree."""

    spec = catalog.AUDIT
    ui_color = "#fce4ec"


class QuantizeOperator(StepOperator):
    """Make one compressed variant; mapped over the pipeline's targets.

    Args:
        target: One of ``compression.targets``.
    """

    spec = catalog.QUANTIZE
    ui_color = "#f1f8e9"

    def __init__(self, *, target: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target

    @property
    def instance(self) -> str:
        """The target."""
        return self.target

    def own(self, definition: PipelineDefinition) -> dict[str, Any]:
        """The target's recipe."""
        recipe = definition.compression.recipe_of(Target(self.target))
        return {"recipe": recipe.model_dump(mode="json")}


class EvaluateVariantsOperator(StepOperator):
    """Every variant on the whole holdout through LiteRT: quality, size, time, memory."""

    spec = catalog.EVALUATE_VARIANTS
    ui_color = "#f1f8e9"


class BudgetsOperator(StepOperator):
    """Judge each variant by its budgets; one that fails is rejected alone, the task stays green."""

    spec = catalog.BUDGETS
    ui_color = "#fce4ec"


class EdgeOperator(StepOperator):
    """Make the edge bundle of the accepted variant; skipped where it was rejected.

    Args:
        registered: What the ``register`` task returned. (templated)
    """

    spec = catalog.EDGE
    template_fields: Sequence[str] = (*StepOperator.template_fields, "registered")
    ui_color = "#ede7f6"

    def __init__(self, *, registered: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.registered = registered

    def own(self, definition: PipelineDefinition) -> dict[str, Any]:
        """The registered version."""
        return {
            "registered": {
                "version": self.registered["version"],
                "night": self.registered["night"],
                "model_digest": self.registered["artifact"]["digest"],
            }
        }

    def _execute(self, context: Context) -> dict[str, Any]:
        target = self._edge()
        made = references(self.inputs)
        budgets = StorageHook(self.s3_conn_id).get_conn().open(made["budgets"])
        rejected: dict[str, str] = budgets.manifest.facts["rejected"]
        if target in rejected:
            raise AirflowSkipException(f"'{target}' was rejected: {rejected[target]}")
        self.inputs = {"budgets": made["budgets"], "quantize": made[f"quantize.{target}"]}
        returned = super()._execute(context)
        self._tell_registry(ArtifactRef.model_validate(returned["artifact"]), target)
        return returned

    def _edge(self) -> str:
        from nightshift.definition.load import load_pipeline

        edge = load_pipeline(self.pipeline).compression.edge
        assert edge is not None  # without one there is no such task
        return edge

    def _tell_registry(self, bundle: ArtifactRef, target: str) -> None:
        bucket = StorageHook(self.s3_conn_id).bucket()
        hook = MlflowHook(self.mlflow_conn_id)
        hook.registry(self.pipeline, bucket).add_edge_bundle(
            int(self.registered["version"]), target, bundle, hook.tracker(self.pipeline, bucket)
        )
