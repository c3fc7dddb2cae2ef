"""ROC curves as inline SVG."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nightshift.evaluation.metrics import roc
from nightshift.reports.svg import Plane, drawing, legend

_PLANE = Plane(left=48, top=10, width=320, height=320)
_POINTS = 200
_TICKS = (0.0, 0.5, 1.0)

Curve = tuple[str, str, NDArray[np.float32]]
"""Name, class of its line in the style sheet, scores."""


def roc_figure(labels: NDArray[np.float32], curves: list[Curve]) -> str:
    """One drawing of all curves; needs both labels among the rows (else raises ValueError)."""
    lines = [_line(labels, scores, style) for _, style, scores in curves]
    names = [(style, name) for name, style, _ in curves]
    return drawing(
        _PLANE.right + 8,
        _PLANE.bottom + 44,
        "ROC curves",
        _PLANE.frame(),
        _PLANE.ticks_below(_TICKS, "false alarms, of rows with label 0"),
        _PLANE.ticks_left(_TICKS, "found, of rows with label 1"),
        _PLANE.diagonal(),
        *lines,
        legend(_PLANE.right - 178, _PLANE.bottom - 18 - 20 * (len(curves) - 1), names),
    )


def _line(labels: NDArray[np.float32], scores: NDArray[np.float32], style: str) -> str:
    alarms, hits = roc(labels, scores)
    # A screen shows no more than so many points; the area is measured from all of them.
    at = np.unique(np.linspace(0, len(alarms) - 1, num=_POINTS).astype(int))
    return f'<polyline class="{style}" points="{_PLANE.points(alarms[at], hits[at])}"/>'
