"""ROC curves as inline SVG."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nightshift.evaluation.metrics import roc

_SIZE, _LEFT, _TOP = 320, 44, 10
_POINTS = 200
_HEIGHT, _WIDTH = _SIZE + _TOP + 40, _SIZE + _LEFT + 190

Curve = tuple[str, str, NDArray[np.float32]]
"""Name, class of its line in the style sheet, scores."""


def roc_figure(labels: NDArray[np.float32], curves: list[Curve]) -> str:
    """One drawing of all curves; needs both labels among the rows (else raises ValueError)."""
    lines = [_line(labels, scores, style) for _, style, scores in curves]
    legend = [_legend(n, name, style) for n, (name, style, _) in enumerate(curves)]
    return (
        f'<svg role="img" aria-label="ROC curves" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}">{_axes()}'
        f'<path class="fair" d="M{_x(0):.1f} {_y(0):.1f}L{_x(1):.1f} {_y(1):.1f}"/>'
        f"{''.join(lines)}{''.join(legend)}</svg>"
    )


def _line(labels: NDArray[np.float32], scores: NDArray[np.float32], style: str) -> str:
    alarms, hits = roc(labels, scores)
    # A screen shows no more than so many points; the area is measured from all of them.
    at = np.unique(np.linspace(0, len(alarms) - 1, num=_POINTS).astype(int))
    points = " ".join(f"{_x(a):.1f},{_y(h):.1f}" for a, h in zip(alarms[at], hits[at], strict=True))
    return f'<polyline class="{style}" points="{points}"/>'


def _axes() -> str:
    ticks = "".join(
        f'<text x="{_x(v):.0f}" y="{_y(0) + 16:.0f}" text-anchor="middle">{v:g}</text>'
        f'<text x="{_LEFT - 6}" y="{_y(v) + 4:.0f}" text-anchor="end">{v:g}</text>'
        for v in (0.0, 0.5, 1.0)
    )
    middle = _TOP + _SIZE / 2
    return (
        f'<rect class="axis" x="{_LEFT}" y="{_TOP}" width="{_SIZE}" height="{_SIZE}"/>{ticks}'
        f'<text x="{_x(0.5):.0f}" y="{_HEIGHT - 6}" text-anchor="middle">false alarms</text>'
        f'<text transform="translate(12 {middle:.0f}) rotate(-90)" text-anchor="middle">'
        "found</text>"
    )


def _legend(number: int, name: str, style: str) -> str:
    x, y = _LEFT + _SIZE + 16, _TOP + 14 + 20 * number
    return f'<path class="{style}" d="M{x} {y}h24"/><text x="{x + 32}" y="{y + 4}">{name}</text>'


def _x(share: float) -> float:
    return _LEFT + _SIZE * share


def _y(share: float) -> float:
    return _TOP + _SIZE * (1 - share)
