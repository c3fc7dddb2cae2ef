"""Which night a DAG run is for, taken once from the form or from the schedule's data interval."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from nightshift.definition.model import PipelineDefinition
from nightshift.errors import BadDefinitionError
from nightshift_airflow.training_form import with_training

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True)
class RunIdentity:
    """What one run of a retraining DAG is.

    Attributes:
        definition: The pipeline, with what the form overrides.
        night: The last day of the window, in the pipeline's time zone.
        nonce: Empty, or the run's id where the form says ``force``: a cleared task of a forced
            run finds the artifacts of that run again.
        by: The run, and the person who triggered it, recorded in manifests.
    """

    definition: PipelineDefinition
    night: date
    nonce: str
    by: str

    @classmethod
    def of(cls, context: Context, definition: PipelineDefinition) -> RunIdentity:
        """Read the identity from a task's context.

        Raises:
            BadDefinitionError: Neither form nor schedule names a night, or the form's values
                contradict the definition.
        """
        params = dict(context.get("params") or {})
        run = context["dag_run"]
        return cls(
            definition=with_training(_with_window(definition, params.get("window")), params),
            night=_night(params.get("night"), context.get("data_interval_end"), definition),
            nonce=run.run_id if params.get("force") else "",
            by=run_by(run),
        )


def run_by(run: Any) -> str:
    """A DAG run as the record names it: its id and, where a person triggered it, the person."""
    person = getattr(run, "triggering_user_name", None)
    return f"{run.dag_id}/{run.run_id}" + (f" by {person}" if person else "")


def _night(given: Any, interval_end: datetime | None, definition: PipelineDefinition) -> date:
    if given:
        try:
            return date.fromisoformat(str(given))
        except ValueError:
            raise BadDefinitionError(
                f"{definition.pipeline}: night is {given!r}; expected a date such as 2013-08-31."
            ) from None
    if interval_end is None:
        raise BadDefinitionError(
            f"{definition.pipeline}: this run was triggered without a night and has no data "
            "interval to take it from. Trigger it again and fill in 'night'."
        )
    # The last whole day before the run: of an interval of a day the day, of a year 31 December.
    return interval_end.astimezone(definition.schedule.zone).date() - timedelta(days=1)


def _with_window(definition: PipelineDefinition, days: Any) -> PipelineDefinition:
    if not days:
        return definition
    holdout = definition.window.holdout_days
    if int(days) <= holdout:
        raise BadDefinitionError(
            f"{definition.pipeline}: window is {days} days; expected more than the holdout's "
            f"{holdout} days."
        )
    window = definition.window.model_copy(update={"days": int(days)})
    return definition.model_copy(update={"window": window})
