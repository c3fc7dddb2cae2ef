"""Distances over nights, handed from release to release: no search through old runs.

Each night's statistics hold the rows of the champion's and one more, so that the report can draw
them from one small file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from pydantic import BaseModel, ConfigDict, TypeAdapter

HISTORY_FILE = "history.json"
_NIGHTS = 60


class NightDistances(BaseModel):
    """What one night measured.

    Attributes:
        night: The night.
        distances: ``drift/<column>`` and the others, as they are logged to MLflow.
    """

    model_config = ConfigDict(frozen=True)

    night: date
    distances: dict[str, float]


def continued(
    before: Sequence[NightDistances], night: date, distances: Mapping[str, float]
) -> list[NightDistances]:
    """The nights before this one and this one, at most sixty, oldest first."""
    earlier = [n for n in before if n.night < night]
    return [*earlier, NightDistances(night=night, distances=dict(distances))][-_NIGHTS:]


def as_json(history: Sequence[NightDistances]) -> bytes:
    """The file's content."""
    return TypeAdapter(list[NightDistances]).dump_json(list(history), indent=1)


def from_json(body: bytes) -> list[NightDistances]:
    """The nights of a file."""
    return TypeAdapter(list[NightDistances]).validate_json(body)
