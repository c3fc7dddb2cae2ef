"""A forest plot as inline SVG: one line a group, its value and the interval around it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 720, 190, 90, 30, 24
_OFFSET = 4.5
"""Between the marks of one line, in pixels."""
_TICKS = 5


@dataclass(frozen=True)
class Mark:
    """A value and its interval; a bound that is missing is not drawn."""

    value: float
    low: float | None
    high: float | None
    style: str = "one"
    """Class of its colour in the style sheet: ``one`` or ``two``."""


@dataclass(frozen=True)
class Line:
    """One group, with a mark for each model."""

    label: str
    note: str
    """To the right, such as its rows."""
    marks: Sequence[Mark]


def forest_figure(lines: Sequence[Line], name: str, reference: float | None = 0.0) -> str:
    """One drawing of all lines.

    Args:
        lines: From top to bottom; empty gives an empty text.
        name: What is measured, for the axis.
        reference: Where a dotted line stands: no difference. It is always within the drawing.
    """
    if not lines:
        return ""
    low, high = _range(lines, reference)
    scale = _Scale(low, high)
    bottom = _TOP + _ROW * len(lines)
    drawn = "".join(_line(line, number, scale) for number, line in enumerate(lines))
    nothing = (
        ""
        if reference is None
        else f'<path class="fair" d="M{scale.x(reference):.1f} {_TOP - 6}V{bottom + 4}"/>'
    )
    height = bottom + 44
    return (
        f'<svg role="img" aria-label="{escape(name)} by group" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}">{_axis(scale, bottom, name)}{nothing}{drawn}</svg>'
    )


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float

    def x(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _range(lines: Sequence[Line], reference: float | None) -> tuple[float, float]:
    values = [value for line in lines for mark in line.marks for value in _values(mark)]
    if reference is not None:
        values.append(reference)
    values = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or abs(high) * 0.05 or 0.01
    return low - margin, high + margin


def _values(mark: Mark) -> Iterator[float]:
    yield from (value for value in (mark.value, mark.low, mark.high) if value is not None)


def _axis(scale: _Scale, bottom: int, name: str) -> str:
    step = _step((scale.high - scale.low) / _TICKS)
    first = math.ceil(scale.low / step)
    # Rounded, since 3 * 0.1 is not what a reader expects to see.
    ticks = [round(n * step, 10) for n in range(first, math.floor(scale.high / step) + 1)]
    shown = "".join(
        f'<path class="axis" d="M{scale.x(tick):.1f} {_TOP - 6}V{bottom}"/>'
        f'<text x="{scale.x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
        for tick in ticks
    )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return (
        f'{shown}<text x="{middle:.0f}" y="{bottom + 36}" text-anchor="middle">'
        f"{escape(name)}</text>"
    )


def _step(about: float) -> float:
    """The nearest 1, 2 or 5 times a power of ten at or above."""
    power = 10 ** math.floor(math.log10(about))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= about * 0.999)


def _line(line: Line, number: int, scale: _Scale) -> str:
    y = _TOP + _ROW * (number + 0.5)
    first = y - _OFFSET * (len(line.marks) - 1)
    marks = "".join(
        _mark(mark, first + 2 * _OFFSET * n, scale) for n, mark in enumerate(line.marks)
    )
    return (
        f'<text x="{_LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(line.label)}</text>'
        f'<text x="{_WIDTH - _RIGHT + 10}" y="{y + 4:.1f}">{escape(line.note)}</text>{marks}'
    )


def _mark(mark: Mark, y: float, scale: _Scale) -> str:
    whisker = (
        f'<path class="{mark.style} whole" d="M{scale.x(mark.low):.1f} {y:.1f}'
        f'H{scale.x(mark.high):.1f}"/>'
        if mark.low is not None and mark.high is not None
        else ""
    )
    at = scale.x(mark.value)
    return f'{whisker}<circle class="{mark.style} dot" cx="{at:.1f}" cy="{y:.1f}" r="3.5"/>'
