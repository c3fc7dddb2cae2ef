"""Register an accepted model, once, and tell the release DAG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, BaseOperator

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.definition.load import load_pipeline
from nightshift.definition.model import PipelineDefinition
from nightshift.errors import NightshiftError
from nightshift.release.candidate import Candidate
from nightshift_airflow.hooks.storage import S3_CONNECTION, StorageHook
from nightshift_airflow.hooks.tracking import MLFLOW_CONNECTION, MlflowHook
from nightshift_airflow.links.artifacts import REGISTER_LINKS
from nightshift_airflow.operators.failure import fail_task
from nightshift_airflow.operators.step import references
from nightshift_airflow.routes.addresses import artifact_page, card_page
from nightshift_airflow.run_identity import RunIdentity

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context


def registered_asset(pipeline: str) -> Asset:
    """The asset whose events say "a version of this pipeline was registered"."""
    # By name alone: an address with a scheme makes Airflow import every provider's handlers.
    return Asset(name=f"{pipeline}_registered")


class RegisterOperator(BaseOperator):
    """Give the model artifact its version number and ask for nothing twice.

    The asset event that starts a release is sent only while the release log knows nothing of the
    version, so that a cleared or repeated run starts no second release. A candidate whose gate did
    not pass is refused, unless a person approved or overrode it.

    Args:
        pipeline: Name of the pipeline's folder.
        inputs: References of the run's artifacts by step name; ``train`` is the model. Where the
            pipeline serves a compressed variant, ``budgets`` and what ``quantize`` returned say
            whether it was accepted: if not, the float model goes on. (templated)
        s3_conn_id: The ``aws`` connection of the object store.
        mlflow_conn_id: The ``http`` connection of MLflow.

    Returns (XCom): ``{"version": number, "night": date, "artifact": reference}``.
    """

    template_fields: Sequence[str] = ("inputs",)
    operator_extra_links = REGISTER_LINKS
    ui_color = "#ede7f6"

    def __init__(
        self,
        *,
        pipeline: str,
        inputs: dict[str, Any],
        s3_conn_id: str = S3_CONNECTION,
        mlflow_conn_id: str = MLFLOW_CONNECTION,
        **kwargs: Any,
    ) -> None:
        alias = AssetAlias(f"{pipeline}_registered_once")
        super().__init__(outlets=[alias], **kwargs)
        self.pipeline = pipeline
        self.inputs = inputs
        self.s3_conn_id = s3_conn_id
        self.mlflow_conn_id = mlflow_conn_id
        self.artifact_url = ""
        self.run_url = ""
        self.card_url = ""
        self._registered: Candidate | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Register, then send the event if the release log has not heard of the version."""
        from nightshift.steps.lifeline import die_with_parent

        die_with_parent()
        try:
            candidate = self._register(context)
        except NightshiftError as error:
            fail_task(context, error)
        self._registered = candidate
        return {
            "version": candidate.version,
            "night": candidate.night.isoformat(),
            "artifact": candidate.model.model_dump(mode="json"),
        }

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage | None:
        """What the version was registered from; asked for by OpenLineage's listener."""
        if self._registered is None:
            return None
        from nightshift_airflow.openlineage_datasets import registration_lineage

        made = references(self.inputs)
        return registration_lineage(
            self.pipeline, made, self._registered.released, self._registered.version
        )

    def _register(self, context: Context) -> Candidate:
        from nightshift.gates.decisions import admit

        identity = RunIdentity.of(context, load_pipeline(self.pipeline))
        storage = StorageHook(self.s3_conn_id)
        os.environ.update(storage.environment())
        bucket = storage.bucket()
        hook = MlflowHook(self.mlflow_conn_id)
        tracker, registry = (
            hook.tracker(self.pipeline, bucket),
            hook.registry(self.pipeline, bucket),
        )
        refs = references(self.inputs)
        # Asked of the record and not of the tasks before: a task can be marked as successful.
        decision = admit(bucket, self.pipeline, refs["gate"], refs["train"])
        pin = tracker.ensure(identity.night)
        draft = Candidate(
            version=0,
            night=identity.night,
            model=refs["train"],
            served=self._served(identity.definition, refs, storage),
            lineage={name: ref for name, ref in refs.items() if name != "train"},
            run_id=pin.run_id,
            by=identity.by,
            decision=decision,
        )
        known = registry.find(draft.released.key)
        candidate = known or registry.register(draft, tracker)
        self._sign(candidate)
        if known is None:
            tracker.finish(identity.night)
        self.run_url = hook.run_url(pin)
        self.artifact_url = artifact_page(candidate.model.uri)
        self.card_url = card_page(self.pipeline, candidate.version)
        self.log.info("%s version %s: %s", self.pipeline, candidate.version, candidate.released.uri)
        if candidate.decision:
            self.log.info("%s", candidate.decision)
        self._announce(context, candidate, known_before=known is not None)
        return candidate

    def _sign(self, candidate: Candidate) -> None:
        """Before anybody may ask for its release."""
        from nightshift.signing.sign import sign_in_its_runtime

        said = sign_in_its_runtime(self.pipeline, candidate.version)
        self.log.info("%s", said or "Versions are not signed here: no signing key is set.")

    def _served(
        self, definition: PipelineDefinition, refs: dict[str, ArtifactRef], storage: StorageHook
    ) -> ArtifactRef | None:
        """The variant that hosts load; None for the float model itself."""
        from nightshift.compression.served import choose_served

        choice = choose_served(storage.get_conn(), definition.release.serve, refs)
        if choice.rejected:
            self.log.warning(
                "'%s' was rejected: %s. The float model goes on.",
                definition.release.serve,
                choice.rejected,
            )
        return choice.variant

    def _announce(self, context: Context, candidate: Candidate, *, known_before: bool) -> None:
        from nightshift.release.requests import is_known
        from nightshift.storage.s3 import artifact_bucket

        if known_before and is_known(artifact_bucket(), self.pipeline, candidate.version):
            self.log.info("Version %s is in the release log already.", candidate.version)
            return
        alias = AssetAlias(f"{self.pipeline}_registered_once")
        context["outlet_events"][alias].add(
            registered_asset(self.pipeline), extra={"version": candidate.version}
        )
