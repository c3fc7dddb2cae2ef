"""Forest plots as inline SVG: one row per group, a dot with its interval, a line to compare with.

After Lewis and Clarke 2001, "Forest plots: trying to see the wood and the trees".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from nightshift.reports.svg import Plane, dot, drawing, legend, line, text, ticks

_LEFT, _WIDTH, _RIGHT, _TOP = 270, 380, 190, 26
_ROW, _MARK = 22, 14
"""Pixels for a row, and for each further mark in it."""
_LONGEST_NAME = 30


class Bounded(Protocol):
    """A value and what its rows leave open; bounds are None where they give none."""

    @property
    def value(self) -> float: ...

    @property
    def low(self) -> float | None: ...

    @property
    def high(self) -> float | None: ...


@dataclass(frozen=True)
class Mark:
    """One dot.

    Attributes:
        interval: Its value and bounds.
        style: Class of its colour in the style sheet.
    """

    interval: Bounded
    style: str = "one"


@dataclass(frozen=True)
class Row:
    """One group; without marks, ``note`` says why.

    Attributes:
        name: The group.
        rows: How many rows it has.
        marks: What is drawn, from top to bottom.
        note: What stands in place of marks.
    """

    name: str
    rows: int
    marks: Sequence[Mark] = ()
    note: str = ""

    @property
    def height(self) -> int:
        """In pixels."""
        return _ROW + (_MARK + 4) * max(0, len(self.marks) - 1)


@dataclass(frozen=True)
class Axis:
    """What the values are.

    Attributes:
        name: In words.
        reference: Where nothing differs: a line through all rows.
        left: What it means to be left of it.
        right: What it means to be right of it.
        limits: Further lines.
        signed: Whether values are differences, and so shown with their sign.
    """

    name: str
    reference: float = 0.0
    left: str = ""
    right: str = ""
    limits: tuple[float, ...] = ()
    signed: bool = True


def forest_figure(rows: Sequence[Row], axis: Axis, series: Sequence[tuple[str, str]] = ()) -> str:
    """One drawing of all rows.

    Args:
        rows: From top to bottom.
        axis: What the values are.
        series: Style and name of each kind of mark, where there are several.
    """
    top = _TOP + (24 if series else 0)
    plane = Plane(_LEFT, top, _WIDTH, sum(row.height for row in rows) + 6, x=_range(rows, axis))
    return drawing(
        _LEFT + _WIDTH + _RIGHT,
        plane.bottom + 46,
        f"{axis.name} by group",
        _head(plane, axis, series),
        plane.frame(),
        plane.ticks_below(ticks(*plane.x), axis.name),
        *(_vertical(plane, limit, "limit") for limit in axis.limits),
        _vertical(plane, axis.reference, "fair"),
        *_rows(plane, rows, axis),
    )


def _range(rows: Sequence[Row], axis: Axis) -> tuple[float, float]:
    values = [axis.reference, *axis.limits]
    for row in rows:
        for mark in row.marks:
            of = mark.interval
            values += [v for v in (of.value, of.low, of.high) if v is not None]
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or 0.01
    return low - margin, high + margin


def _head(plane: Plane, axis: Axis, series: Sequence[tuple[str, str]]) -> str:
    y = plane.top - 8
    parts = [text(plane.left - 12, y, "rows", "end")]
    if axis.left:
        parts.append(text(plane.left, y, f"\N{LEFTWARDS ARROW} {axis.left}"))
    if axis.right:
        parts.append(text(plane.right, y, f"{axis.right} \N{RIGHTWARDS ARROW}", "end"))
    for n, entry in enumerate(series):
        parts.append(legend(plane.left + 200 * n, 12, [entry]))
    return "".join(parts)


def _vertical(plane: Plane, x: float, style: str) -> str:
    return line(plane.across(x), plane.top, plane.across(x), plane.bottom, style)


def _rows(plane: Plane, rows: Sequence[Row], axis: Axis) -> Iterator[str]:
    y = plane.top + 3.0
    for row in rows:
        middle = y + row.height / 2
        yield text(plane.left - 70, middle + 4, _short(row.name), "end", "ink")
        yield text(plane.left - 12, middle + 4, f"{row.rows:,}", "end")
        if not row.marks:
            yield text(plane.right + 12, middle + 4, row.note)
        first = middle - _MARK * (len(row.marks) - 1) / 2
        for n, mark in enumerate(row.marks):
            told = interval_text(mark.interval, signed=axis.signed)
            yield from _mark(plane, mark, first + n * _MARK, told)
        y += row.height


def _mark(plane: Plane, mark: Mark, y: float, told: str) -> Iterator[str]:
    of = mark.interval
    if of.low is not None and of.high is not None:
        yield line(plane.across(of.low), y, plane.across(of.high), y, f"whisker {mark.style}")
    yield dot(plane.across(of.value), y, mark.style)
    yield text(plane.right + 12, y + 4, told)


def interval_text(interval: Bounded, *, signed: bool = True) -> str:
    """A value with its bounds, four digits after the point; ``signed`` shows a plus too."""
    kind = "+.4f" if signed else ".4f"
    value = f"{interval.value:{kind}}"
    if interval.low is None or interval.high is None:
        return value
    return f"{value} [{interval.low:{kind}}, {interval.high:{kind}}]"


def _short(name: str) -> str:
    return (
        name
        if len(name) <= _LONGEST_NAME
        else name[: _LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"
    )
