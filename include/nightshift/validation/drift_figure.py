"""Distances over nights: one small chart per column, its limit a dotted line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from nightshift.validation.history import NightDistances

_ACROSS, _WIDTH, _HEIGHT = 4, 240, 112
_LEFT, _TOP, _PLOT_WIDTH, _PLOT_HEIGHT = 8, 24, 216, 60
_KINDS = (("drift", "one"), ("holdout_drift", "two"))


def drift_figure(
    history: Sequence[NightDistances], limits: Mapping[str, float], columns: Sequence[str]
) -> str:
    """The drawing.

    Args:
        history: Nights, oldest first.
        limits: Column to its drift threshold, where it has one.
        columns: The columns, in the order to show.
    """
    rows = -(-len(columns) // _ACROSS)
    width, height = _ACROSS * _WIDTH, rows * _HEIGHT
    charts = "".join(
        f'<g transform="translate({n % _ACROSS * _WIDTH} {n // _ACROSS * _HEIGHT})">'
        f"{_chart(history, limits.get(column), column)}</g>"
        for n, column in enumerate(columns)
    )
    return (
        f'<svg role="img" aria-label="Distances over nights" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">{charts}</svg>'
    )


def _chart(history: Sequence[NightDistances], limit: float | None, column: str) -> str:
    names = [f"{kind}/{column}" for kind, _ in _KINDS]
    values = [night.distances[n] for night in history for n in names if n in night.distances]
    top = 1.1 * max([*values, limit or 0.0, 0.001])
    lines = "".join(
        _line([night.distances.get(f"{kind}/{column}") for night in history], top, style)
        for kind, style in _KINDS
    )
    base = _TOP + _PLOT_HEIGHT
    threshold = ""
    if limit is not None:
        y = base - limit / top * _PLOT_HEIGHT
        threshold = f'<path class="fair" d="M{_LEFT} {y:.1f}h{_PLOT_WIDTH}"/>'
    last = values and f"{max(values):.3g}"
    return (
        f'<text x="{_LEFT}" y="14" style="fill:var(--ink);font-weight:600">{escape(column)}</text>'
        f'<text x="{_LEFT + _PLOT_WIDTH}" y="14" text-anchor="end">'
        f"{f'at most {last}' if last else ''}</text>"
        f'<path class="axis" d="M{_LEFT} {base}h{_PLOT_WIDTH}"/>{threshold}{lines}'
        f'<text x="{_LEFT}" y="{base + 14}">{history[0].night:%d %b}</text>'
        f'<text x="{_LEFT + _PLOT_WIDTH}" y="{base + 14}" text-anchor="end">'
        f"{history[-1].night:%d %b %Y}</text>"
    )


def _line(values: Sequence[float | None], top: float, style: str) -> str:
    step = _PLOT_WIDTH / max(len(values) - 1, 1)
    points = [
        f"{_LEFT + n * step:.1f},{_TOP + _PLOT_HEIGHT * (1 - value / top):.1f}"
        for n, value in enumerate(values)
        if value is not None
    ]
    dots = "".join(
        f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="1.8" class="{style}" '
        'style="stroke-width:1.5"/>'
        for p in points
    )
    line = f'<polyline class="{style}" style="stroke-width:1.5" points="{" ".join(points)}"/>'
    return f"{line}{dots}" if points else ""
