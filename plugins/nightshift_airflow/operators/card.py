"""The model card of a version that was just registered; one for ever, however often it is run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.definition.model import PipelineDefinition
from nightshift.release.candidate import Candidate
from nightshift.steps import catalog
from nightshift.steps.contract import StepRequest, StepResult
from nightshift_airflow.hooks.storage import StorageHook
from nightshift_airflow.hooks.tracking import MlflowHook
from nightshift_airflow.operators.step import StepOperator, references

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightshift.tracking.registry import Registry
    from nightshift.tracking.runs import RunTracker

_BUDGETS = "budgets"


class CardOperator(StepOperator):
    """Write the version's model card from the artifacts it was registered with, and show it.

    The first card of a version stays: whoever runs the task again, with other texts in
    pipeline.yaml or other code, gets the one that is pinned.

    Args:
        registered: What the ``register`` task returned. (templated)
        inputs: ``budgets``, where the pipeline has compressed variants. (templated)
    """

    spec = catalog.CARD
    template_fields: Sequence[str] = (*StepOperator.template_fields, "registered")
    ui_color = "#ede7f6"

    def __init__(self, *, registered: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.registered = registered
        self._candidate: Candidate | None = None

    @property
    def version(self) -> int:
        """The registered version."""
        return int(self.registered["version"])

    def own(self, definition: PipelineDefinition) -> dict[str, Any]:
        """The version as it was registered."""
        assert self._candidate is not None
        return {"registered": self._candidate.model_dump(mode="json")}

    def _execute(self, context: Context) -> dict[str, Any]:
        made = references(self.inputs)
        candidate = self._candidate = self._registry().version(self.version)
        known = {_BUDGETS: made[_BUDGETS]} if _BUDGETS in made else {}
        self.inputs = {**known, **candidate.lineage, "train": candidate.model}
        returned = super()._execute(context)
        self._publish(ArtifactRef.model_validate(returned["artifact"]))
        return returned

    def _run(
        self, request: StepRequest, environment: dict[str, str], tracker: RunTracker
    ) -> StepResult:
        from nightshift.artifacts.store import ArtifactStore
        from nightshift.steps.run import result_of

        registry = self._registry()
        pinned = registry.card(self.version)
        if pinned is None:
            result = super()._run(request, environment, tracker)
            if result.artifact is None:
                return result
            pinned = registry.pin_card(self.version, result.artifact)
            if pinned == result.artifact:
                return result
        self.log.info("Version %s has its card: %s", self.version, pinned.uri)
        store = ArtifactStore(tracker.bucket)
        return result_of(store.open(pinned), store, reused=True)

    def _publish(self, card: ArtifactRef) -> None:
        from nightshift.card.files import JSON_FILE, PAGE_FILE

        store = StorageHook(self.s3_conn_id).get_conn()
        artifact = store.open(card)
        files = {name: store.read(artifact, name).decode() for name in (JSON_FILE, PAGE_FILE)}
        hook = MlflowHook(self.mlflow_conn_id)
        tracker = hook.tracker(self.pipeline, store.bucket)
        self._registry().show_card(self.version, card, files, tracker)

    def _registry(self) -> Registry:
        bucket = StorageHook(self.s3_conn_id).bucket()
        return MlflowHook(self.mlflow_conn_id).registry(self.pipeline, bucket)
