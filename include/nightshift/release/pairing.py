"""Two answers to the same request, and what they say about two versions.

A request is one pair however many rows it has: its rows have much in common, and a client with
large batches must not outvote all others. A number that is not finite counts in whichever row it
stands; whether two answers *agree* is looked at in one row, drawn by chance, so that the share of
pairs that disagree is the share of rows that do.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nightshift.release.comparison import BINS, Compared, PerColour
from nightshift.release.record import Colour

DEFAULT_TOLERANCE = 0.2
"""Largest difference of two numbers that still agree."""


@dataclass(frozen=True)
class Reply:
    """What one version said to a request.

    Attributes:
        outputs: In column format (a list of rows for each output, or the only one's bare list);
            None where it answered with an error.
    """

    outputs: Any = None

    @property
    def failed(self) -> bool:
        """Whether it was an error."""
        return self.outputs is None


def compare(
    blue: Reply,
    green: Reply,
    tolerance: float = DEFAULT_TOLERANCE,
    draw: Callable[[int], int] = random.randrange,
) -> Compared:
    """One pair.

    Args:
        blue: What the blue version said.
        green: What the green version said.
        tolerance: Two single numbers further apart disagree. Where an answer has several numbers
            a row (classes, several outputs), another place of the largest one does.
        draw: Gives the row to look at, from the number of rows.
    """
    if blue.failed or green.failed:
        return Compared(
            pairs=1,
            failed_alone=PerColour(
                blue=int(blue.failed and not green.failed),
                green=int(green.failed and not blue.failed),
            ),
        )
    rows = {Colour.BLUE: _rows(blue.outputs), Colour.GREEN: _rows(green.outputs)}
    finite = {colour: all(map(_is_finite, found)) for colour, found in rows.items()}
    if not all(finite.values()):
        return Compared(
            pairs=1,
            non_finite_alone=PerColour(
                blue=int(finite[Colour.GREEN] and not finite[Colour.BLUE]),
                green=int(finite[Colour.BLUE] and not finite[Colour.GREEN]),
            ),
        )
    return _of_finite(rows[Colour.BLUE], rows[Colour.GREEN], tolerance, draw)


_Row = tuple[Any, ...]


def _of_finite(
    blue: list[_Row], green: list[_Row], tolerance: float, draw: Callable[[int], int]
) -> Compared:
    if len(blue) != len(green):
        return Compared(pairs=1, answered=1, disagreements=1)
    if not blue:
        return Compared(pairs=1, answered=1)
    drawn = draw(len(blue))
    first, second = blue[drawn], green[drawn]
    return Compared(
        pairs=1,
        answered=1,
        disagreements=int(not _agree(first, second, tolerance)),
        blue=_counted(first),
        green=_counted(second),
    )


def _rows(outputs: Any) -> list[_Row]:
    """Each row's values, those of all outputs one after the other in order of their names."""
    if isinstance(outputs, dict):
        columns = [_column(outputs[name]) for name in sorted(outputs)]
        longest = max(map(len, columns), default=0)
        # An output without a row for each (a constant) says nothing about a single request's row.
        columns = [column for column in columns if len(column) == longest]
        return [tuple(v for row in rows for v in row) for rows in zip(*columns, strict=True)]
    return _column(outputs)


def _column(rows: Any) -> list[_Row]:
    return [tuple(_flat(row)) for row in (rows if isinstance(rows, list) else [rows])]


def _flat(values: Any) -> list[Any]:
    if not isinstance(values, list):
        return [values]
    return [value for nested in values for value in _flat(nested)]


def _numbers(row: _Row) -> list[float]:
    return [float(v) for v in row if isinstance(v, int | float)]


def _is_finite(row: _Row) -> bool:
    return all(map(math.isfinite, _numbers(row)))


def _agree(blue: _Row, green: _Row, tolerance: float) -> bool:
    first, second = _numbers(blue), _numbers(green)
    if len(first) != len(second) or len(blue) != len(green):
        return False
    if not first:
        return blue == green
    if len(first) == 1:
        return abs(first[0] - second[0]) <= tolerance
    return first.index(max(first)) == second.index(max(second))


def _counted(row: _Row) -> tuple[int, ...]:
    """The bin of the row's first number: below 0, one of equal width in [0, 1], above 1."""
    bins = [0] * (BINS + 2)
    numbers = _numbers(row)
    if numbers:
        bins[_bin(numbers[0])] = 1
    return tuple(bins)


def _bin(value: float) -> int:
    if value < 0:
        return 0
    if value > 1:
        return BINS + 1
    return 1 + min(int(value * BINS), BINS - 1)
