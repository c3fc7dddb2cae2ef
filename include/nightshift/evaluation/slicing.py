"""From declared slicings to groups of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nightshift.definition.slicing import Part, Slicing
from nightshift.errors import BadDefinitionError

MOST_VALUES = 1000
"""A slicing with more groups than this is no slicing but a key or a quantity."""
MISSING_VALUE = "(missing)"
"""How a null in a slice column is shown."""
NO_GROUP = -1


@dataclass(frozen=True)
class Groups:
    """The groups of one slicing.

    Attributes:
        slicing: Its name.
        values: What each group is called.
        codes: Each row's group, as its place in ``values``; ``NO_GROUP`` for rows in none. Shape
            [rows].
    """

    slicing: str
    values: tuple[str, ...]
    codes: NDArray[np.int32]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Rows of each group, shape [groups]."""
        return np.bincount(self.codes[self.codes != NO_GROUP], minlength=len(self.values))

    def rows(self, number: int) -> NDArray[np.intp]:
        """The rows of one group, ascending."""
        return np.flatnonzero(self.codes == number)


def groups_of(slicing: Slicing, columns: Mapping[str, pa.Array]) -> Groups:
    """Every group that has rows.

    Args:
        slicing: The declaration.
        columns: By lake column one text per row.

    Raises:
        BadDefinitionError: There are too many groups, or buckets are asked of what is no number.
    """
    codes: NDArray[np.int64] = np.zeros(len(columns[slicing.columns[0]]), dtype=np.int64)
    values = [""]
    for part in slicing.parts:
        codes, values = _crossed(codes, values, *_of_part(part, columns[part.column]))
    present, compact = np.unique(codes[codes != NO_GROUP], return_inverse=True)
    if len(present) > MOST_VALUES:
        raise BadDefinitionError(
            f"pipeline.yaml: slices: {slicing.name!r} has {len(present)} values in the holdout; "
            f"the limit is {MOST_VALUES}. Slice by a column with few values, or by edges.",
            field="slices",
            column=slicing.name,
            value=len(present),
            limit=MOST_VALUES,
        )
    found: NDArray[np.int32] = np.full(len(codes), NO_GROUP, dtype=np.int32)
    found[codes != NO_GROUP] = compact
    return Groups(slicing.name, tuple(values[n] for n in present), found)


def all_groups(slicings: Iterable[Slicing], columns: Mapping[str, pa.Array]) -> tuple[Groups, ...]:
    """The groups of each slicing."""
    return tuple(groups_of(slicing, columns) for slicing in slicings)


def _crossed(
    codes: NDArray[np.int64],
    values: list[str],
    further: NDArray[np.int64],
    names: list[str],
) -> tuple[NDArray[np.int64], list[str]]:
    together = codes * len(names) + further
    together[(codes == NO_GROUP) | (further == NO_GROUP)] = NO_GROUP
    return together, [f"{a}, {b}" if a else b for a in values for b in names]


def _of_part(part: Part, column: pa.Array) -> tuple[NDArray[np.int64], list[str]]:
    if part.edges:
        return _buckets(part, column)
    encoded = column.dictionary_encode()
    values: list[str] = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy().astype(np.int64)
    if not part.values:
        return codes, values
    wanted = {value: number for number, value in enumerate(part.values)}
    places = np.array([wanted.get(value, NO_GROUP) for value in values], dtype=np.int64)
    return places[codes], list(part.values)


def _buckets(part: Part, column: pa.Array) -> tuple[NDArray[np.int64], list[str]]:
    """``below 500``, ``500 to 1500``, ``1500 and more``, and what has no number by itself."""
    missing = pc.equal(column, MISSING_VALUE)
    try:
        numbers = pc.if_else(missing, None, column).cast(pa.float64())
    except pa.ArrowInvalid as error:
        raise BadDefinitionError(
            f"pipeline.yaml: slices: {part.column!r} has edges, so it must hold numbers: {error}",
            field="slices",
            column=part.column,
        ) from None
    filled = numbers.fill_null(np.nan).to_numpy(zero_copy_only=False)
    codes: NDArray[np.int64] = np.searchsorted(np.array(part.edges), filled, side="right").astype(
        np.int64
    )
    codes[np.isnan(filled)] = len(part.edges) + 1
    edges = [f"{edge:g}" for edge in part.edges]
    between = [f"{low} to {high}" for low, high in pairwise(edges)]
    return codes, [f"below {edges[0]}", *between, f"{edges[-1]} and more", MISSING_VALUE]
