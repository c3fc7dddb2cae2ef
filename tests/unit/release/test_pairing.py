"""What two answers to one request say."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nightshift.release.comparison import BINS, PerColour
from nightshift.release.pairing import Reply, compare

FIRST = {"draw": lambda rows: 0}


def pair(blue: Any, green: Any, **options: Any) -> Any:
    return compare(Reply(blue), Reply(green), **{**FIRST, **options})


def test_two_close_probabilities_agree() -> None:
    seen = pair([0.50], [0.65])

    assert (seen.pairs, seen.answered, seen.disagreements) == (1, 1, 0)


def test_probabilities_further_apart_than_the_tolerance_disagree() -> None:
    assert pair([0.50], [0.75]).disagreements == 1
    assert pair([0.50], [0.75], tolerance=0.3).disagreements == 0


def test_an_output_by_name_is_the_same_as_the_bare_list() -> None:
    assert pair({"probability": [[0.5]]}, [0.5]).disagreements == 0


def test_classes_disagree_where_another_one_wins() -> None:
    assert pair([[0.1, 0.5, 0.4]], [[0.3, 0.4, 0.3]]).disagreements == 0
    assert pair([[0.1, 0.5, 0.4]], [[0.1, 0.4, 0.5]]).disagreements == 1


def test_several_outputs_are_taken_in_order_of_their_names() -> None:
    assert pair({"b": [0.9], "a": [0.1]}, {"a": [0.2], "b": [0.7]}).disagreements == 0
    assert pair({"b": [0.9], "a": [0.1]}, {"a": [0.7], "b": [0.2]}).disagreements == 1


def test_text_agrees_where_it_is_the_same() -> None:
    assert pair(["late"], ["late"]).disagreements == 0
    assert pair(["late"], ["early"]).disagreements == 1


def test_answers_of_different_form_disagree() -> None:
    assert pair([0.5, 0.5], [0.5]).disagreements == 1
    assert pair([[0.5, 0.5]], [0.5]).disagreements == 1


def test_one_row_is_looked_at_whichever_was_drawn() -> None:
    blue, green = [0.1, 0.9], [0.1, 0.1]

    assert pair(blue, green, draw=lambda rows: 0).disagreements == 0
    assert pair(blue, green, draw=lambda rows: 1).disagreements == 1


def test_a_failure_counts_for_the_one_that_failed_alone() -> None:
    assert pair([0.5], None).failed_alone == PerColour(green=1)
    assert pair(None, [0.5]).failed_alone == PerColour(blue=1)
    both = pair(None, None)
    assert (both.pairs, both.answered, both.failed_alone) == (1, 0, PerColour())


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_counts_in_whichever_row_it_stands(number: float) -> None:
    seen = pair([0.5, 0.5], [0.5, number])

    assert (seen.pairs, seen.answered) == (1, 0)
    assert seen.non_finite_alone == PerColour(green=1)
    assert pair([number], [0.5]).non_finite_alone == PerColour(blue=1)
    assert pair([number], [number]).non_finite_alone == PerColour()


@pytest.mark.parametrize(
    ("value", "place"),
    [(-0.1, 0), (0.0, 1), (0.049, 1), (0.05, 2), (0.99, BINS), (1.0, BINS), (1.1, BINS + 1)],
)
def test_the_first_number_falls_into_a_bin_of_its_own_colour(value: float, place: int) -> None:
    seen = pair([value], [0.5], tolerance=9)

    assert seen.blue.index(1) == place
    assert sum(seen.blue) == sum(seen.green) == 1


def test_counts_add_up() -> None:
    seen = pair([0.5], [0.9]).merge(pair([0.5], None)).merge(pair([0.1], [0.1]))

    assert (seen.pairs, seen.answered, seen.disagreements) == (3, 2, 1)
    assert seen.failed_alone == PerColour(green=1)
    assert type(seen).model_validate_json(seen.model_dump_json()) == seen


def test_an_answer_without_rows_is_one() -> None:
    seen = pair([], [])

    assert (seen.pairs, seen.answered, seen.disagreements) == (1, 1, 0)
