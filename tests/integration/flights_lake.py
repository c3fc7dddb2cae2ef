"""A lake of real flights, and ways to spoil one partition of it for one night."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta

import pyarrow as pa

from nightshift.definition.load import load_pipeline
from nightshift.definition.model import Window
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.plan import plan_step
from tests.integration.pipeline_lake import PipelineLake
from tests.integration.servers import S3

NIGHT = date(2013, 8, 31)
OLD = date(2013, 8, 20)
"""A day of the training rows."""
DAYS = 21

Spoil = Callable[[pa.Table], pa.Table]


class FlightsLake(PipelineLake):
    """The flights pipeline over a window of 21 days, its lake filled with the real flights.

    Use it with an ``S3`` whose environment is set.
    """

    def __init__(self, s3: S3) -> None:
        window = Window(days=DAYS, holdout_days=7, minimum_rows_per_day=400)
        definition = load_pipeline("flights").model_copy(update={"window": window})
        super().__init__(s3, definition, NIGHT - timedelta(DAYS - 1), NIGHT)

    def spoiled(self, day: date, spoil: Spoil | bytes | None) -> AbstractContextManager[None]:
        """Have another table, other bytes or nothing (None) as a day's file for a while."""
        return self.holding(day, spoil(self.tables[day]) if callable(spoil) else spoil)

    def plan(self, step: str, **inputs: StepResult) -> StepRequest:
        """A request about NIGHT that no earlier one's artifact answers."""
        return self.plan_night(NIGHT, step, **inputs)

    def beside(self, snapshot: StepResult) -> StepRequest:
        """The expectations' request as a run of NIGHT makes it."""
        assert snapshot.artifact
        return plan_step(
            STEPS["expectations"], self.definition, NIGHT, {"snapshot": snapshot.artifact}
        )

    def snapshot(self) -> StepResult:
        """Pin what the lake holds now."""
        return self.snapshot_of(NIGHT)

    def make_champion(self, **lineage: StepResult) -> None:
        """Have a version of NIGHT released that these steps led to."""
        self.release(NIGHT, **lineage)


def column(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The table with one column's values replaced."""
    return table.set_column(table.schema.get_field_index(name), name, values)


def first_rows(table: pa.Table, name: str, share: float, value: object) -> pa.Table:
    """The table with a value in the first rows of a column, as many as ``share`` of all."""
    values = table[name].to_pylist()
    values[: round(share * len(values))] = [value] * round(share * len(values))
    return column(table, name, pa.array(values, table.schema.field(name).type))
