"""Distributions are laid over each other, and nothing in the data can draw of its own."""

from __future__ import annotations

import numpy as np

from nightshift.validation.distributions import Distribution
from nightshift.validation.distributions_figure import distributions_figure
from nightshift.validation.findings import Severity

PARTS = ("train", "released", "holdout", "newest")


def chart(column: str, bins: tuple[str, ...] = ("a", "b")) -> Distribution:
    shares = {name: np.array([0.25, 0.75]) for name in PARTS}
    return Distribution(column, bins, False, 0.0, 2.0, shares, {"train": 0.1}, {"train": 0.0})


def drawing(column: str, marks: dict[str, Severity], parts: tuple[str, ...] = PARTS) -> str:
    """The part of the drawing that is behind the legend."""
    svg = distributions_figure([chart(column)], parts, marks, {column: "drift 0.1"})
    return svg[svg.index("<g ") :]


def test_the_first_part_is_filled_and_the_next_two_are_lines_over_it() -> None:
    svg = drawing("dest", {})
    assert svg.count("<rect") == 2
    assert svg.count('<path class="one"') == svg.count('<path class="two"') == 1
    assert "a: train 25.0%, released 25.0%" in svg
    assert "other values: 10.0%" in svg


def test_the_fourth_part_is_drawn_where_something_is_said_of_the_column() -> None:
    assert 'class="fair"' not in drawing("dest", {"origin": Severity.ERROR})
    marked = drawing("dest", {"dest": Severity.ERROR})
    assert 'class="fair"' in marked
    assert "var(--bad)" in marked


def test_a_part_that_is_missing_is_left_out() -> None:
    assert 'class="two"' not in drawing("dest", {}, PARTS[:2])


def test_names_from_the_data_are_escaped() -> None:
    svg = distributions_figure([chart("<b>", ("<i>", "b"))], PARTS, {}, {})
    assert "<b>" not in svg
    assert "<i>" not in svg
