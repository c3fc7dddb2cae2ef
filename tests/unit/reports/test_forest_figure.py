"""The forest plot draws what it is given, within its frame, with every name escaped."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from nightshift.reports.forest_figure import Line, Mark, forest_figure

_NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


def line(label: str, value: float, low: float | None, high: float | None) -> Line:
    return Line(label, "200 rows", [Mark(value, low, high)])


def test_nothing_to_draw_is_an_empty_text() -> None:
    assert forest_figure([], "AUC") == ""


def test_a_name_cannot_leave_the_drawing() -> None:
    figure = forest_figure([line("<script>", 0.1, 0.0, 0.2)], "<b>")
    assert "<script>" not in figure
    assert "<b>" not in figure


def test_an_interval_that_is_not_known_is_a_point_alone() -> None:
    figure = forest_figure([line("LAX", 0.1, None, None)], "AUC")
    assert "<circle" in figure
    assert "whole" not in figure


@given(st.lists(st.tuples(_NUMBERS, _NUMBERS, _NUMBERS).map(sorted), min_size=1, max_size=5))
def test_every_mark_is_within_the_frame(groups: list[list[float]]) -> None:
    lines = [line(str(n), value, low, high) for n, (low, value, high) in enumerate(groups)]
    figure = forest_figure(lines, "AUC")
    width = int(re.findall(r' width="(\d+)"', figure)[0])
    for x in re.findall(r'cx="([-\d.]+)"', figure):
        assert 0 <= float(x) <= width
