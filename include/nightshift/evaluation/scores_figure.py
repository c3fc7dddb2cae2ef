"""Old against new as inline SVG: where the rows' scores moved, as a map of how many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nightshift.reports.svg import Plane, drawing, line, rectangle, ticks

_CELLS = 40
_SIDE = 320


def scores_figure(
    champion: NDArray[np.float32],
    candidate: NDArray[np.float32],
    thresholds: tuple[float, float],
    names: tuple[str, str],
) -> str:
    """Champion's scores across, candidate's upwards; the darker a cell, the more rows.

    Args:
        champion: Shape [rows].
        candidate: The same.
        thresholds: From which score on each of the two selects a row.
        names: What each is called.
    """
    both = np.concatenate([champion, candidate]).astype(np.float64)
    low, high = _range(both)
    plane = Plane(48, 10, _SIDE, _SIDE, (low, high), (low, high))
    edges = np.linspace(low, high, _CELLS + 1)
    counts, _, _ = np.histogram2d(champion, candidate, bins=(edges, edges))
    at, (theirs, ours) = ticks(low, high), names
    return drawing(
        plane.right + 8,
        plane.bottom + 44,
        "scores of champion and candidate",
        *_cells(plane, counts),
        plane.frame(),
        plane.ticks_below(at, f"score of the {theirs}"),
        plane.ticks_left(at, f"score of the {ours}"),
        plane.diagonal(),
        *_limits(plane, thresholds),
    )


def _range(scores: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(scores.min()), float(scores.max())
    margin = (high - low) * 0.02 or 0.01
    return max(0.0, low - margin), min(1.0, high + margin)


def _cells(plane: Plane, counts: NDArray[np.float64]) -> Iterator[str]:
    side, most = _SIDE / _CELLS, float(counts.max())
    for across, up in zip(*np.nonzero(counts), strict=True):
        # By the logarithm: one crowded cell would pale all others.
        shade = 0.15 + 0.85 * np.log1p(counts[across, up]) / np.log1p(most)
        x, y = plane.left + across * side, plane.bottom - (up + 1) * side
        yield rectangle(x, y, side, side, "area one", opacity=float(shade))


def _limits(plane: Plane, thresholds: tuple[float, float]) -> Iterator[str]:
    theirs, ours = thresholds
    if plane.x[0] < theirs < plane.x[1]:
        yield line(plane.across(theirs), plane.top, plane.across(theirs), plane.bottom, "limit")
    if plane.y[0] < ours < plane.y[1]:
        yield line(plane.left, plane.down(ours), plane.right, plane.down(ours), "limit")
