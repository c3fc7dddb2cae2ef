"""Every column's distributions as one drawing of small charts laid over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from nightshift.validation.distributions import Distribution
from nightshift.validation.findings import Severity

_ACROSS = 2
_WIDTH, _HEIGHT = 500, 184
_PLOT_LEFT, _PLOT_TOP, _PLOT_WIDTH, _PLOT_HEIGHT = 8, 30, 468, 104
_LEGEND = 34
_LONGEST_LABEL = 9
_STYLES = ("", "one", "two", "fair")
"""Of the parts in order: the first is filled, the others are lines over it, the last of them only
where something is said of the column."""
_STROKE = "stroke-width:1.6"
_STROKES = {"fair": "stroke:var(--bad);stroke-width:1.6;stroke-dasharray:2 2"}
_COLOURS = {Severity.ERROR: "var(--bad)", Severity.WARNING: "var(--warn)"}


def distributions_figure(
    charts: Sequence[Distribution],
    parts: Sequence[str],
    marks: Mapping[str, Severity],
    notes: Mapping[str, str],
) -> str:
    """The drawing.

    Args:
        charts: One per column, in the order to show.
        parts: Names of at most four parts; the first is filled, the fourth needs a mark.
        marks: Column to the worst finding about it.
        notes: Column to a few words at the right of its name.
    """
    rows = -(-len(charts) // _ACROSS)
    width, height = _ACROSS * _WIDTH, _LEGEND + rows * _HEIGHT
    drawn = "".join(
        f'<g transform="translate({n % _ACROSS * _WIDTH} {_LEGEND + n // _ACROSS * _HEIGHT})">'
        f"{_chart(chart, parts, marks.get(chart.column), notes.get(chart.column, ''))}</g>"
        for n, chart in enumerate(charts)
    )
    return (
        f'<svg role="img" aria-label="Distributions by column" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">{_legend(parts)}{drawn}</svg>'
    )


def _chart(chart: Distribution, parts: Sequence[str], mark: Severity | None, note: str) -> str:
    shown = [
        (name, style)
        for name, style in zip(parts, _STYLES, strict=False)
        if name in chart.shares and (mark or style != _STYLES[-1])
    ]
    top = max((float(chart.shares[name].max()) for name, _ in shown), default=0.0) or 1.0
    drawn = ""
    for name, style in shown:
        heights = chart.shares[name] / top * _PLOT_HEIGHT
        drawn += _lines(heights, style) if style else _bars(heights, chart, name)
    base = _PLOT_TOP + _PLOT_HEIGHT
    axis = f'<path class="axis" d="M{_PLOT_LEFT} {base}h{_PLOT_WIDTH}"/>'
    return _title(chart.column, mark, note) + drawn + axis + _labels(chart) + _beside(chart, parts)


def _title(column: str, mark: Severity | None, note: str) -> str:
    colour = _COLOURS.get(mark) if mark else None
    dot = f'<circle cx="14" cy="14" r="5" style="fill:{colour}"/>' if colour else ""
    return (
        f'{dot}<text x="{24 if dot else _PLOT_LEFT}" y="18" '
        f'style="fill:var(--ink);font-weight:600">{escape(column)}</text>'
        f'<text x="{_PLOT_LEFT + _PLOT_WIDTH}" y="18" text-anchor="end">{escape(note)}</text>'
    )


def _bars(heights: NDArray[np.float64], chart: Distribution, part: str) -> str:
    step = _PLOT_WIDTH / len(heights)
    gap = 0.5 if chart.numeric else step * 0.12
    return "".join(
        f'<rect x="{_PLOT_LEFT + n * step + gap:.1f}" y="{_PLOT_TOP + _PLOT_HEIGHT - h:.1f}" '
        f'width="{step - 2 * gap:.1f}" height="{h:.1f}" style="fill:var(--bar)">'
        f"<title>{escape(_told(chart, n, part))}</title></rect>"
        for n, h in enumerate(heights)
    )


def _told(chart: Distribution, n: int, part: str) -> str:
    told = ", ".join(f"{name} {shares[n]:.1%}" for name, shares in chart.shares.items())
    return f"{chart.bins[n]}{' and up' if chart.numeric else ''}: {told or part}"


def _lines(heights: NDArray[np.float64], style: str) -> str:
    """The outline of bars, so that what lies behind stays to be seen."""
    step, base = _PLOT_WIDTH / len(heights), _PLOT_TOP + _PLOT_HEIGHT
    steps = "".join(f"V{base - h:.1f}h{step:.2f}" for h in heights)
    return (
        f'<path class="{style}" style="{_STROKES.get(style, _STROKE)}" pointer-events="none" '
        f'd="M{_PLOT_LEFT} {base}{steps}V{base}"/>'
    )


def _labels(chart: Distribution) -> str:
    y = _PLOT_TOP + _PLOT_HEIGHT + 15
    if chart.numeric:
        middle = (chart.low + chart.high) / 2
        places = ((0.0, chart.low, "start"), (0.5, middle, "middle"), (1.0, chart.high, "end"))
        return "".join(
            f'<text x="{_PLOT_LEFT + share * _PLOT_WIDTH:.0f}" y="{y}" text-anchor="{anchor}">'
            f"{_rounded(value)}</text>"
            for share, value, anchor in places
        )
    step = _PLOT_WIDTH / len(chart.bins)
    longest = max(int(step / 6.2), 1)
    return "".join(
        f'<text x="{_PLOT_LEFT + (n + 0.5) * step:.1f}" y="{y}" text-anchor="middle" '
        f'style="font-size:10px">{escape(_short(label, min(longest, _LONGEST_LABEL)))}</text>'
        for n, label in enumerate(chart.bins)
    )


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _short(label: str, longest: int) -> str:
    return label if len(label) <= longest else f"{label[: max(longest - 1, 1)]}…"


def _beside(chart: Distribution, parts: Sequence[str]) -> str:
    """What has no bin: values of rarer categories, and rows without a value."""
    told = [f"{word}: {_by_part(shares, parts)}" for word, shares in _outside(chart) if shares]
    y = _PLOT_TOP + _PLOT_HEIGHT + 31
    return f'<text x="{_PLOT_LEFT}" y="{y}">{escape("; ".join(told))}</text>' if told else ""


def _outside(chart: Distribution) -> list[tuple[str, dict[str, float]]]:
    empty = chart.empty if any(chart.empty.values()) else {}
    return [("other values", chart.others), ("empty", empty)]


def _by_part(shares: Mapping[str, float], parts: Sequence[str]) -> str:
    return ", ".join(f"{shares[name]:.1%}" for name in parts[:3] if name in shares)


def _legend(parts: Sequence[str]) -> str:
    drawn, x = "", _PLOT_LEFT
    for name, style in zip(parts, _STYLES, strict=False):
        drawn += (
            f'<path class="{style}" style="{_STROKES.get(style, _STROKE)}" d="M{x} 12h24"/>'
            if style
            else f'<rect x="{x}" y="5" width="24" height="13" style="fill:var(--bar)"/>'
        )
        drawn += f'<text x="{x + 32}" y="16">{escape(name)}</text>'
        x += 60 + round(6.6 * len(name))
    return drawn
