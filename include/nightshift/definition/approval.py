"""``approval:`` in ``pipeline.yaml``: the question to a person where the gate is inconclusive."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nightshift.definition.section import Section


class Approval(Section):
    """How long a person may take, and how often nights may ask."""

    within_minutes: Annotated[float, Field(gt=0)] | None = None
    """Without an answer in this time it is no. Empty: until shortly before the next night; never
    longer than that."""
    nights: Annotated[int, Field(ge=1, le=365)] = 20
    """The alarm looks at the last so many nights."""
    alarm_share: Annotated[float, Field(ge=0, le=1)] = 0.2
    """More of them than this share asked a person: an alarm."""
