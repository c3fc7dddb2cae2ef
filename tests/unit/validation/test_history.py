"""Distances are handed from release to release."""

from __future__ import annotations

from datetime import date, timedelta

from nightshift.validation.drift_figure import drift_figure
from nightshift.validation.history import NightDistances, as_json, continued, from_json

FIRST = date(2013, 8, 1)


def nights(count: int) -> list[NightDistances]:
    history: list[NightDistances] = []
    for n in range(count):
        history = continued(history, FIRST + timedelta(n), {"drift/dest": n / 1000})
    return history


def test_a_night_follows_those_before_it_and_survives_its_file() -> None:
    history = nights(3)
    assert [n.night.day for n in history] == [1, 2, 3]
    assert from_json(as_json(history)) == history


def test_a_night_that_is_run_again_or_late_stands_once_and_last() -> None:
    again = continued(nights(3), FIRST + timedelta(1), {"drift/dest": 0.5})
    assert [(n.night.day, n.distances["drift/dest"]) for n in again] == [(1, 0.0), (2, 0.5)]


def test_sixty_nights_are_kept() -> None:
    history = nights(70)
    assert len(history) == 60
    assert history[-1].night == FIRST + timedelta(69)


def test_the_drawing_has_a_point_a_night_and_the_limit() -> None:
    svg = drift_figure(nights(5), {"dest": 0.05}, ["dest", "<b>"])
    assert svg.count("<circle") == 5
    assert svg.count('class="fair"') == 1
    assert "<b>" not in svg
