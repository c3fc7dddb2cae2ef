"""What every Nightshift DAG has in common: retries, form fields, who owns it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Param

from nightshift.definition.model import PipelineDefinition
from nightshift_airflow.training_form import training_params

TAG = "nightshift"
"""On each of our DAGs: by it the metrics find them."""

RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=5),
}
"""For lost connections and dead processes; errors that cannot go away fail at once."""


def start_of(definition: PipelineDefinition) -> datetime:
    """The first moment a schedule may cover, in the pipeline's time zone."""
    zone = definition.schedule.zone
    day = definition.schedule.start
    return (
        datetime(day.year, day.month, day.day, tzinfo=zone)
        if day
        else datetime(2020, 1, 1, tzinfo=zone)
    )


def end_of(definition: PipelineDefinition) -> datetime | None:
    """The last moment, or None where the schedule has no end."""
    day = definition.schedule.end
    zone = definition.schedule.zone
    return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=zone) if day else None


def night_params(definition: PipelineDefinition) -> dict[str, Param]:
    """The trigger form of a retraining run."""
    window = definition.window
    return {
        "night": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Night",
            description="Last day of the data window, in "
            f"{definition.schedule.timezone}. Empty on a scheduled run: the last day of the "
            "run's data interval.",
        ),
        "window": Param(
            None,
            type=["null", "integer"],
            minimum=window.holdout_days + 1,
            title="Window (days)",
            description=f"Days of data, the last {window.holdout_days} of them held out. "
            f"Empty: {window.days}, as pipeline.yaml says.",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Force",
            description="Pin the lake anew and make every artifact again, beside the old ones. "
            "For a night whose data was repaired.",
        ),
        **training_params(definition),
    }
