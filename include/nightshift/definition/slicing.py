"""How the holdout's rows are divided into groups: by a column, buckets of it, or several crossed.

In ``pipeline.yaml`` a slicing is written in one of four ways::

    slices:
      - carrier                                    # each value is a group
      - {column: dest, values: [LAX, SFO]}         # these values alone
      - {column: distance, edges: [500, 1500]}     # below 500, 500 to 1500, 1500 and more
      - {cross: [origin, {column: distance, edges: [1000]}]}
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

from pydantic import Field, model_validator

from nightshift.definition.section import Section

MOST_CROSSED = 3
"""Columns that one slicing may cross: more leaves groups of a few rows."""


class Part(Section):
    """One column of a slicing; without ``values`` and ``edges`` each of its values is a group."""

    column: Annotated[str, Field(min_length=1)]
    values: tuple[str, ...] = ()
    """The values that are groups, as text; rows with others are in none."""
    edges: tuple[float, ...] = ()
    """Where buckets of a number begin, in the column's own unit."""

    @model_validator(mode="after")
    def _one_way(self) -> Part:
        if self.values and self.edges:
            raise ValueError(f"{self.column}: give either values or edges")
        if len(set(self.values)) < len(self.values):
            raise ValueError(f"{self.column}: values must differ: {list(self.values)}")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError(f"{self.column}: edges must ascend: {list(self.edges)}")
        return self


class Slicing(Section):
    """One way to divide the rows; its name is what gates and reports call it by."""

    parts: Annotated[tuple[Part, ...], Field(min_length=1, max_length=MOST_CROSSED)]
    name: str = ""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"parts": [_part(value)], "name": value}
        if not isinstance(value, dict) or "parts" in value:
            return value
        fields = dict(value)
        crossed = fields.pop("cross", None)
        name = {"name": fields.pop("name")} if "name" in fields else {}
        if crossed is None:
            return {"parts": [fields], **name}
        if fields or not isinstance(crossed, list):
            raise ValueError("cross takes a list of columns, and nothing stands beside it but name")
        return {"parts": [_part(entry) for entry in crossed], **name}

    @model_validator(mode="after")
    def _named(self) -> Slicing:
        columns = self.columns
        if len(set(columns)) < len(columns):
            raise ValueError(f"cross: the columns must differ: {list(columns)}")
        if not self.name:
            # The only moment at which a frozen section has no name yet.
            object.__setattr__(self, "name", " x ".join(columns))
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The lake columns it reads."""
        return tuple(part.column for part in self.parts)


def _part(entry: Any) -> Any:
    return {"column": entry} if isinstance(entry, str) else entry


def columns_of(*slicings: tuple[Slicing, ...]) -> tuple[str, ...]:
    """Every lake column that these slicings read, each once, in their order."""
    return tuple(dict.fromkeys(c for some in slicings for s in some for c in s.columns))
