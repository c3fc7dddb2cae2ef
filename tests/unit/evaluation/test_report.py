"""The evaluation report: drawings that tell the numbers, every group, and no other address."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from nightshift.evaluation.report import render
from nightshift.evaluation.result import Evaluation, Interval
from nightshift.reports.forest_figure import Axis, Mark, Row, forest_figure
from nightshift.reports.svg import Plane, ticks
from tests.unit.evaluation.tables import compare, evaluate, table

ROWS = 2000


@pytest.fixture(scope="module")
def night() -> tuple[Evaluation, str]:
    """A candidate that selects women less than the champion does, and its page."""
    draw = np.random.default_rng(6)
    sex = draw.choice(["<f>", "m"], ROWS)
    town = draw.choice(["big", "small"], ROWS, p=[0.95, 0.05])
    champion = draw.random(ROWS)
    labels = draw.random(ROWS) < champion
    candidate = np.clip(champion - 0.3 * (sex == "<f>"), 0, 1)
    predictions = table(labels, candidate, champion, sex=sex, town=town)
    settings: dict[str, Any] = {"replicates": 200, "min_slice_size": 150}
    evaluation = evaluate(predictions, sensitive=["sex"], **settings)
    return evaluation, render(evaluation, compare(predictions, **settings))


def _drawings(page: str, name: str) -> list[str]:
    return re.findall(rf'<svg role="img" aria-label="{name}".*?</svg>', page)


def test_the_page_asks_for_no_other_address(night: tuple[Evaluation, str]) -> None:
    _, page = night
    assert not re.search(r"https?:|src=|href=|@import|url\(|<script|<link|<iframe", page)


def test_every_part_is_there(night: tuple[Evaluation, str]) -> None:
    _, page = night
    for name in ("ROC curves", "reliability plot", "scores of champion and candidate"):
        assert len(_drawings(page, name)) == 1, name
    assert len(_drawings(page, "AUC, candidate less champion by group")) == 2
    assert len(_drawings(page, "TPR gap by group")) == 1
    assert "What the words mean" in page


def test_a_gap_is_drawn_for_both_models_with_its_numbers(night: tuple[Evaluation, str]) -> None:
    evaluation, page = night
    (gap,) = (g for g in evaluation.gaps if g.value == "<f>" and g.metric == "selection_rate_gap")
    (drawing,) = _drawings(page, "selection rate gap by group")
    assert gap.champion is not None
    assert gap.candidate.high is not None
    assert gap.candidate.high < -0.2
    for interval in (gap.candidate, gap.champion):
        assert f"{interval.value:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]" in drawing
    assert "&lt;f&gt;" in drawing
    assert "<f>" not in page


def test_a_group_too_small_to_judge_is_named_all_the_same(night: tuple[Evaluation, str]) -> None:
    evaluation, page = night
    (small,) = (group for group in evaluation.groups("town") if group.small)
    assert f"too few rows each: 1 of the groups ({small.rows:,} rows in all)." in page
    assert "small (too few rows)" in page


def test_changed_answers_add_up(night: tuple[Evaluation, str]) -> None:
    _, page = night
    numbers = re.search(r"<td>all</td>((?:<td class=\"number\">[\d,]+</td>)+)", page)
    assert numbers is not None
    count, *kinds = (int(n.replace(",", "")) for n in re.findall(r">([\d,]+)<", numbers[1]))
    assert count == sum(kinds) == ROWS


@pytest.mark.parametrize(
    ("low", "high", "style"), [(0.01, 0.03, "good"), (-0.03, -0.01, "bad"), (-0.01, 0.01, "even")]
)
def test_a_forest_shows_an_interval_from_its_low_to_its_high(
    low: float, high: float, style: str
) -> None:
    interval = Interval(value=(low + high) / 2, low=low, high=high)
    drawing = forest_figure([Row("UA", 1200, [Mark(interval, style)])], Axis("AUC"))
    found = re.search(rf'whisker {style}" d="M([\d.]+) [\d.]+L([\d.]+)', drawing)
    assert found is not None
    dot = re.search(rf'dot {style}" cx="([\d.]+)"', drawing)
    assert dot is not None
    assert float(found[1]) < float(dot[1]) < float(found[2])
    assert ">1,200<" in drawing


def test_ticks_are_round_and_within() -> None:
    assert ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-0.083, 0.021) == [-0.08, -0.06, -0.04, -0.02, 0.0, 0.02]
    assert ticks(3.0, 3.0) == [3.0]


def test_a_plane_shows_its_range_from_left_to_right_and_from_the_ground_up() -> None:
    plane = Plane(10, 20, 100, 50, x=(0, 2), y=(-1, 1))
    assert (plane.across(0), plane.across(1), plane.across(2)) == (10, 60, 110)
    assert (plane.down(-1), plane.down(0), plane.down(1)) == (70, 45, 20)
    assert plane.across(99) == 110
