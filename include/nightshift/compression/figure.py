"""Size against quality against time, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import sqrt

_WIDTH, _HEIGHT = 620, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 150, 24, 48
_RADIUS = 9.0
"""Of a model as fast as the float one, in pixels."""


@dataclass(frozen=True)
class Point:
    """One model.

    Attributes:
        name: Shown beside it.
        size: Its bytes over the float model's.
        quality: Higher is better, any unit.
        latency: Its time over the float model's.
        accepted: Whether it keeps its budgets.
        label: The quality as text.
    """

    name: str
    size: float
    quality: float
    latency: float
    accepted: bool
    label: str


def trade_off_figure(points: Sequence[Point], metric: str) -> str:
    """One drawing of all points; empty where there are none."""
    if not points:
        return ""
    right = max(1.0, *(point.size for point in points)) * 1.05
    lowest, highest = (f(point.quality for point in points) for f in (min, max))
    margin = (highest - lowest) * 0.1 or abs(highest) * 0.01 or 0.01
    scale = _Scale(right, lowest - margin, highest + margin)
    drawn = "".join(_circle(point, scale) for point in points)
    names = "".join(_names(points, scale))
    return (
        f'<svg role="img" aria-label="size against {escape(metric)}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}">'
        f"{_axes(points, scale, metric)}{drawn}{names}</svg>"
    )


@dataclass(frozen=True)
class _Scale:
    right: float
    lowest: float
    highest: float

    def x(self, size: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * size / self.right

    def y(self, quality: float) -> float:
        share = (quality - self.lowest) / (self.highest - self.lowest)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share


def _circle(point: Point, scale: _Scale) -> str:
    style = "one" if point.accepted else "two"
    radius = _RADIUS * sqrt(max(point.latency, 0.02))
    title = f"{point.name}: {point.size:.3f} of the bytes, {point.latency:.2f} of the time"
    return (
        f'<circle class="{style}" cx="{scale.x(point.size):.1f}" '
        f'cy="{scale.y(point.quality):.1f}" r="{radius:.1f}"><title>{escape(title)}</title>'
        "</circle>"
    )


def _names(points: Sequence[Point], scale: _Scale) -> list[str]:
    """Names beside the circles, moved down where they would cover each other."""
    texts, last = [], -1e9
    for point in sorted(points, key=lambda p: scale.y(p.quality)):
        y = max(scale.y(point.quality) + 4, last + 13)
        last = y
        x = scale.x(point.size) + _RADIUS * sqrt(max(point.latency, 0.02)) + 5
        texts.append(f'<text x="{x:.1f}" y="{y:.1f}">{escape(point.name)}</text>')
    return texts


def _axes(points: Sequence[Point], scale: _Scale, metric: str) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    ticks = "".join(
        f'<text x="{scale.x(v):.0f}" y="{bottom + 16}" text-anchor="middle">{v:g}</text>'
        for v in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    ends = {p.quality: p.label for p in points}
    for quality in (min(ends), max(ends)):
        ticks += (
            f'<text x="{_LEFT - 6}" y="{scale.y(quality) + 4:.0f}" text-anchor="end">'
            f"{escape(ends[quality])}</text>"
        )
    return (
        f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>{ticks}'
        f'<text x="{(_LEFT + right) / 2:.0f}" y="{bottom + 36}" text-anchor="middle">'
        "bytes, of the float model's</text>"
        f'<text x="{_LEFT}" y="{_TOP - 8}" text-anchor="middle">{escape(metric)}</text>'
    )
