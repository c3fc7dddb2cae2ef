"""Reliability plots as inline SVG: what is predicted against what happens, with how often."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nightshift.evaluation.calibration import BINS, Reliability
from nightshift.evaluation.estimates import binomial_bounds
from nightshift.reports.svg import Plane, dot, drawing, legend, line, rectangle

_PLANE = Plane(left=48, top=10, width=320, height=320)
_ROWS_HEIGHT = 40
_TICKS = (0.0, 0.5, 1.0)

Model = tuple[str, str, Reliability]
"""Name, class of its line in the style sheet, its sums of shape [bins]."""


def reliability_figure(models: list[Model], confidence: float, axes: tuple[str, str]) -> str:
    """One drawing of all models.

    Args:
        models: What is drawn, the most important first.
        confidence: Of each bound of a bin's interval (Clopper and Pearson).
        axes: What is predicted, and the share that it is held against.
    """
    across, up = axes
    names = [(style, name) for name, style, _ in models]
    return drawing(
        _PLANE.right + 8,
        _PLANE.bottom + 44,
        "reliability plot",
        _PLANE.frame(),
        _PLANE.ticks_below(_TICKS, across),
        _PLANE.ticks_left(_TICKS, up),
        _PLANE.diagonal(),
        *_rows(models),
        *(part for model in reversed(models) for part in _model(model, confidence)),
        legend(_PLANE.left + 14, _PLANE.top + 18, names),
    )


def _model(model: Model, confidence: float) -> Iterator[str]:
    name, style, sums = model
    filled = np.flatnonzero(sums.rows > 0)
    rows, ones = sums.rows[filled], sums.ones[filled]
    scores, shares = sums.scores[filled] / rows, ones / rows
    yield f'<polyline class="{style}" points="{_PLANE.points(scores, shares)}"/>'
    for n, score in enumerate(scores):
        low, high = binomial_bounds(round(ones[n]), round(rows[n]), confidence)
        x = _PLANE.across(score)
        title = f"{name}: of {rows[n]:,.0f} rows with {score:.3f} on average, {shares[n]:.3f}"
        yield line(x, _PLANE.down(low), x, _PLANE.down(high), f"whisker {style}")
        yield dot(x, _PLANE.down(shares[n]), style, 3.5, title)


def _rows(models: list[Model]) -> Iterator[str]:
    """Bars on the ground, as high as the bin has rows; each bin's models side by side."""
    most = max(float(sums.rows.max()) for _, _, sums in models)
    slot = _PLANE.width / BINS
    width = (slot - 4) / len(models)
    for number, (_, style, sums) in enumerate(models):
        for place, rows in enumerate(sums.rows):
            if rows:
                height = _ROWS_HEIGHT * rows / most
                x = _PLANE.left + place * slot + 2 + number * width
                yield rectangle(
                    x, _PLANE.bottom - height, width, height, f"area {style}", opacity=0.3
                )
