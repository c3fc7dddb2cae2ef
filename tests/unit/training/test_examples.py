"""Rows and labels: what the lake holds becomes arrays, or one error that names file and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nightshift.definition.model import Label
from nightshift.errors import BadDataError
from nightshift.training.examples import ExampleReader, Examples, concatenate
from tests.unit.training.small_data import FEATURES, LABEL, READER, write_files

ROWS: dict[str, Any] = {
    "colour": ["red", None, "blue", "red"],
    "size": [1, 2, 3, 4],
    "weight": [0.5, 1.5, 2.5, 3.5],
    "delay": [15.0, 15.1, None, -3.0],
}


def _read(folder: Path, reader: ExampleReader = READER, **changes: Any) -> Examples:
    files = write_files(folder, [{**ROWS, **changes}])
    return reader.examples(concatenate(reader.batches(files)))


def test_the_label_is_one_above_its_limit_and_rows_without_it_are_dropped(tmp_path: Path) -> None:
    found = _read(
        tmp_path, ExampleReader(FEATURES, Label(**{**LABEL.model_dump(), "missing": "drop"}))
    )
    assert found.labels.tolist() == [0.0, 1.0, 0.0]
    assert found.inputs["size"].tolist() == [1, 2, 4]


def test_inputs_have_the_types_that_the_model_takes(tmp_path: Path) -> None:
    found = _read(tmp_path, delay=[0.0, 0.0, 20.0, 0.0])
    assert found.inputs["colour"].tolist() == ["red", "", "blue", "red"]
    assert found.inputs["size"].dtype == np.int64
    assert found.inputs["weight"].dtype == np.float32


def test_narrow_and_encoded_columns_are_widened(tmp_path: Path) -> None:
    colour = pa.array(["red", "red", "blue", "red"]).dictionary_encode()
    found = _read(tmp_path, colour=colour, size=pa.array([1, 2, 3, 4], pa.int8()), delay=[0.0] * 4)
    assert found.inputs["colour"].tolist() == ["red", "red", "blue", "red"]
    assert found.inputs["size"].dtype == np.int64


def test_further_columns_keep_the_order_of_rows(tmp_path: Path) -> None:
    label = Label(name="late", column="delay", above=15, missing="drop")
    found = _read(tmp_path, ExampleReader(FEATURES, label, ("colour", "size")))
    assert found.extras["size"].to_pylist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("changes", "column", "words"),
    [
        ({}, "delay", "null in 1 of 4 rows"),
        ({"delay": ["a", "b", "c", "d"]}, "delay", "holds string"),
        ({"delay": [0.0] * 4, "size": ["a", "b", "c", "d"]}, "size", "expects int"),
        ({"delay": [0.0] * 4, "size": [1, None, 3, None]}, "size", "in 2 of 4 rows"),
        ({"delay": [0.0] * 4, "size": [1.5, 2.0, 3.0, 4.0]}, "size", "expects int"),
        ({"delay": [0.0] * 4, "weight": [0.0, float("nan"), 1.0, 2.0]}, "weight", "in 1 of 4 rows"),
        ({"delay": [0.0] * 4, "weight": [0.0, float("inf"), None, 2.0]}, "weight", "in 2 of 4"),
    ],
)
def test_bad_values_are_refused_by_file_and_column(
    tmp_path: Path, changes: dict[str, Any], column: str, words: str
) -> None:
    with pytest.raises(BadDataError, match=words) as caught:
        _read(tmp_path, **changes)
    assert caught.value.facts["column"] == column
    assert caught.value.facts["file"] == "small/date=2013-01-01/part-0.parquet"


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    files = write_files(tmp_path, [{n: v for n, v in ROWS.items() if n != "weight"}])
    with pytest.raises(BadDataError, match=r"small/date=2013-01-01.*weight"):
        list(READER.batches(files))


def test_a_plain_label_must_be_zero_or_one(tmp_path: Path) -> None:
    reader = ExampleReader(FEATURES, Label(name="late", column="delay"))
    with pytest.raises(BadDataError, match="holds 2 values that are neither 0 nor 1"):
        _read(tmp_path, reader, delay=[0, 1, 2, 3])
    assert _read(tmp_path, reader, delay=[0, 1, 1, 0]).labels.tolist() == [0, 1, 1, 0]
    assert _read(tmp_path, reader, delay=[True, False, False, True]).labels.sum() == 2


def test_a_window_without_a_label_is_refused(tmp_path: Path) -> None:
    label = Label(name="late", column="delay", above=15, missing="drop")
    with pytest.raises(BadDataError, match="nothing to learn from"):
        _read(tmp_path, ExampleReader(FEATURES, label), delay=pa.nulls(4, pa.float64()))
