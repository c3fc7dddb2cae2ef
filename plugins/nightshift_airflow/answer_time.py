"""How long a person may take to answer: never into the next night."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nightshift.definition.model import PipelineDefinition
from nightshift_airflow.dag_parts import end_of

WITHOUT_SCHEDULE = timedelta(days=1)
MARGIN = timedelta(minutes=10)
"""Between the last moment for an answer and the next night: the run must have ended by then."""


def answer_time(definition: PipelineDefinition, now: datetime) -> timedelta:
    """Longest wait for an answer to a question asked now.

    Args:
        definition: The pipeline. ``approval.within_minutes`` can make the wait shorter, not longer.
        now: The moment, with its time zone.

    Returns:
        The time until ten minutes before the next night; half of the time that is left where that
        is less than twenty minutes. A day where no night is scheduled.
    """
    left = _until_next_night(definition, now)
    longest = WITHOUT_SCHEDULE if left is None else max(left - MARGIN, left / 2)
    declared = definition.approval.within_minutes
    return longest if declared is None else min(longest, timedelta(minutes=declared))


def _until_next_night(definition: PipelineDefinition, now: datetime) -> timedelta | None:
    from croniter import croniter

    if definition.schedule.cron is None:
        return None
    cron, last = definition.schedule.cron, end_of(definition)
    local = now.astimezone(definition.schedule.zone)
    following: datetime = croniter(cron, local).get_next(datetime)
    # The schedule's end is about the moment at which a night's period begins.
    if last and croniter(cron, following).get_prev(datetime) > last:
        return None
    # In UTC: between two moments of one zone Python counts the clock's hours, not those that pass.
    return following.astimezone(UTC) - now.astimezone(UTC)
