"""Take back a *no*: the one way for a candidate whose gate failed."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from nightshift.errors import NightshiftError, RefusedError
from nightshift_airflow.hooks.storage import S3_CONNECTION, StorageHook
from nightshift_airflow.hooks.tracking import MLFLOW_CONNECTION, MlflowHook
from nightshift_airflow.operators.failure import fail_task
from nightshift_airflow.run_identity import run_by

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightshift.gates.decisions import DecisionRecord


class OverrideOperator(BaseOperator):
    """Write down that the person who filled in the form overrides a refused candidate.

    Args:
        pipeline: Name of the pipeline's folder.
        s3_conn_id: The ``aws`` connection of the object store.
        mlflow_conn_id: The ``http`` connection of MLflow.

    Returns (XCom): ``{"decision": the override, "inputs": the refused run's artifacts by step}``.
    """

    ui_color = "#fce4ec"

    def __init__(
        self,
        *,
        pipeline: str,
        s3_conn_id: str = S3_CONNECTION,
        mlflow_conn_id: str = MLFLOW_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.pipeline = pipeline
        self.s3_conn_id = s3_conn_id
        self.mlflow_conn_id = mlflow_conn_id

    @property
    def refused(self) -> Any:
        """The artifacts of the run whose candidate was refused, for the task that registers it."""
        output: Any = self.output
        return output["inputs"]

    def execute(self, context: Context) -> dict[str, Any]:
        """Find what was refused, write the override down once, and show it on the MLflow run."""
        try:
            record = self._override(context)
        except NightshiftError as error:
            fail_task(context, error)
        self.log.warning(
            "%s, night of %s: %s", self.pipeline, record.decision.night, record.decision
        )
        return record.model_dump(mode="json")

    def _override(self, context: Context) -> DecisionRecord:
        from nightshift.gates.decisions import Decisions

        params, run = context["params"], context["dag_run"]
        reason = str(params.get("reason") or "").strip()
        if not run.triggering_user_name or not reason:
            raise RefusedError(
                f"{self.pipeline}: an override has a name and a reason. Log in to Airflow and fill "
                f"in the form of override_{self.pipeline}."
            )
        bucket = StorageHook(self.s3_conn_id).bucket()
        record = Decisions(bucket, self.pipeline).override(
            date.fromisoformat(params["night"]),
            by=run.triggering_user_name,
            reason=reason,
            run=run_by(run),
            gate_key=str(params.get("gate") or "").strip(),
        )
        # The run still bears the *no* that this takes back.
        tracker = MlflowHook(self.mlflow_conn_id).tracker(self.pipeline, bucket)
        tracker.tag(record.decision.night, record.decision.tags)
        return record
