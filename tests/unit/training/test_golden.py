"""Golden requests: few rows, the rarest categories among them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nightshift.training.examples import Examples
from nightshift.training.golden import Golden, as_json, golden_rows, write_golden
from tests.unit.training.small_data import FEATURES


def _holdout(colours: list[str]) -> Examples:
    rows = len(colours)
    inputs = {
        "colour": np.array(colours, dtype=object),
        "size": np.arange(rows),
        "weight": np.zeros(rows, np.float32),
    }
    return Examples(inputs, np.zeros(rows, np.float32), {})


def test_rare_categories_come_first() -> None:
    colours = ["red"] * 500 + ["violet"] + ["red"] * 300 + ["blue"] * 2 + ["red"] * 100
    chosen = golden_rows(_holdout(colours), FEATURES, 3)
    assert {colours[row] for row in chosen} == {"violet", "blue", "red"}


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1), st.integers(1, 40))
def test_as_many_distinct_rows_as_asked_for_or_there_are(colours: list[str], count: int) -> None:
    chosen = golden_rows(_holdout(colours), FEATURES, count).tolist()
    assert len(set(chosen)) == len(chosen) == min(count, len(colours))
    assert chosen == sorted(chosen)
    assert set(chosen) <= set(range(len(colours)))


def test_numbers_survive_the_file(tmp_path: Path) -> None:
    answers = np.random.default_rng(1).random(50, dtype=np.float32)
    golden = Golden(
        signature="serving_default",
        inputs={"size": as_json(np.arange(50)), "weight": as_json(answers)},
        outputs={"probability": as_json(answers)},
        tolerance=1e-5,
    )
    write_golden(tmp_path / "golden.json", golden)
    read = json.loads((tmp_path / "golden.json").read_text())
    assert read["inputs"]["size"] == list(range(50))
    assert np.array_equal(np.array(read["outputs"]["probability"], np.float32), answers)
