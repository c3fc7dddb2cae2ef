"""From a task to what it made: report, artifact, MLflow run.

Airflow 3 stores each link when the task ends, by asking the operator object that ran.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class ReportLink(BaseOperatorLink):
    """The report of the step, of its failure too."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address of the report's page, or nothing."""
        return str(getattr(operator, "report_url", ""))


class ArtifactLink(BaseOperatorLink):
    """Manifest and files of the artifact."""

    name = "Artifact"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address of the artifact's page, or nothing."""
        return str(getattr(operator, "artifact_url", ""))


class RunLink(BaseOperatorLink):
    """The night's MLflow run."""

    name = "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address of the run's page, or nothing."""
        return str(getattr(operator, "run_url", ""))


class TensorBoardLink(BaseOperatorLink):
    """What the training recorded: its files, and the command that shows them."""

    name = "TensorBoard"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address of the recording's page, or nothing."""
        return str(getattr(operator, "tensorboard_url", ""))


class ModelCardLink(BaseOperatorLink):
    """The model card of a registered version, once its task has made it."""

    name = "Model card"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address of the card's page, or nothing."""
        return str(getattr(operator, "card_url", ""))


class ReleaseLink(BaseOperatorLink):
    """The newest release of the pipeline as it goes: phase, weights, every check."""

    name = "Release"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address of the release's page, known before the task has run."""
        return str(getattr(operator, "release_url", ""))


STEP_LINKS: tuple[Any, ...] = (ReportLink(), ArtifactLink(), RunLink())
TRAIN_LINKS: tuple[Any, ...] = (*STEP_LINKS, TensorBoardLink())
REGISTER_LINKS: tuple[Any, ...] = (*STEP_LINKS, ModelCardLink())
RELEASE_LINKS: tuple[Any, ...] = (ReleaseLink(),)
