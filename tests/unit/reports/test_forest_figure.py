"""The forest plot draws what it is given, within its frame, with every name escaped."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from nightshift.evaluation.result import Interval
from nightshift.reports.forest_figure import Axis, Mark, Row, forest_figure

_NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


def row(label: str, value: float, low: float | None, high: float | None) -> Row:
    return Row(label, 200, [Mark(Interval(value=value, low=low, high=high))])


def test_a_name_cannot_leave_the_drawing() -> None:
    figure = forest_figure([row("<script>", 0.1, 0.0, 0.2)], Axis("<b>"))
    assert "<script>" not in figure
    assert "<b>" not in figure


def test_an_interval_that_is_not_known_is_a_point_alone() -> None:
    figure = forest_figure([row("LAX", 0.1, None, None)], Axis("AUC"))
    assert "<circle" in figure
    assert "whisker" not in figure


def test_a_group_without_marks_says_why() -> None:
    assert "too few rows" in forest_figure([Row("LAX", 3, note="too few rows")], Axis("AUC"))


@given(st.lists(st.tuples(_NUMBERS, _NUMBERS, _NUMBERS).map(sorted), min_size=1, max_size=5))
def test_every_mark_is_within_the_frame(groups: list[list[float]]) -> None:
    rows = [row(str(n), value, low, high) for n, (low, value, high) in enumerate(groups)]
    figure = forest_figure(rows, Axis("AUC"))
    width = int(re.findall(r' width="(\d+)"', figure)[0])
    for x in re.findall(r'cx="([-\d.]+)"', figure):
        assert 0 <= float(x) <= width
