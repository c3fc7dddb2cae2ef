"""Groups of rows from declarations: every row where it belongs, no group forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nightshift.definition.slicing import Slicing
from nightshift.errors import BadDefinitionError
from nightshift.evaluation.slicing import NO_GROUP, groups_of
from tests.unit.evaluation.tables import slicings


def _groups(declared: Any, **columns: list[str]) -> dict[str, list[int]]:
    (slicing,) = slicings(declared)
    groups = groups_of(slicing, {name: pa.array(values) for name, values in columns.items()})
    assert groups.sizes.tolist() == [len(groups.rows(n)) for n in range(len(groups.values))]
    return {value: groups.rows(n).tolist() for n, value in enumerate(groups.values)}


def test_each_value_is_a_group_unless_values_are_named() -> None:
    column = ["UA", "AA", "UA", "B6"]
    assert _groups("carrier", carrier=column) == {"UA": [0, 2], "AA": [1], "B6": [3]}
    named = {"column": "carrier", "values": ["AA", "ZZ"]}
    assert _groups(named, carrier=column) == {"AA": [1]}


def test_buckets_begin_at_their_edge() -> None:
    found = _groups(
        {"column": "age", "edges": [18, 65]}, age=["17", "18", "64.9", "65", "(missing)", "-3"]
    )
    assert found == {
        "below 18": [0, 5],
        "18 to 65": [1, 2],
        "65 and more": [3],
        "(missing)": [4],
    }


def test_edges_of_what_is_no_number_are_told_by_column() -> None:
    with pytest.raises(BadDefinitionError, match="'carrier' has edges, so it must hold numbers"):
        _groups({"column": "carrier", "edges": [1]}, carrier=["UA"])


def test_crossed_groups_are_pairs_that_have_rows() -> None:
    declared = {"cross": ["sex", {"column": "age", "edges": [40]}]}
    found = _groups(declared, sex=["f", "m", "f", "m"], age=["20", "50", "50", "50"])
    assert found == {"f, below 40": [0], "m, 40 and more": [1, 3], "f, 40 and more": [2]}


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers(0, 9)), min_size=1
    )
)
def test_crossing_agrees_with_counting_by_hand(rows: list[tuple[str, str, int]]) -> None:
    (slicing,) = slicings({"cross": ["one", "two", {"column": "n", "edges": [3, 6]}]})
    one, two, numbers = zip(*rows, strict=True)
    columns = {"one": pa.array(one), "two": pa.array(two), "n": pa.array([str(n) for n in numbers])}
    groups = groups_of(slicing, columns)
    assert not (groups.codes == NO_GROUP).any()
    names = np.array(groups.values)[groups.codes]
    bucket = ["below 3", "3 to 6", "6 and more"]
    expected = [f"{a}, {b}, {bucket[(n >= 3) + (n >= 6)]}" for a, b, n in rows]
    assert names.tolist() == expected


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"column": "a", "values": ["x"], "edges": [1]}, "either values or edges"),
        ({"column": "a", "edges": [2, 1]}, "edges must ascend"),
        ({"cross": ["a", "a"]}, "the columns must differ"),
        ({"cross": ["a", "b", "c", "d"]}, "at most 3"),
        ({"cross": ["a", "b"], "edges": [1]}, "nothing stands beside it"),
        ({"column": "a", "edge": [1]}, "Extra inputs"),
    ],
)
def test_a_wrong_slicing_is_explained(declared: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Slicing.model_validate(declared)


def test_a_slicing_survives_a_request() -> None:
    (slicing,) = slicings({"cross": ["sex", {"column": "age", "edges": [40]}], "name": "who"})
    assert Slicing.model_validate(slicing.model_dump(mode="json")) == slicing
    assert (slicing.name, slicing.columns) == ("who", ("sex", "age"))
    assert slicings({"cross": ["sex", "age"]})[0].name == "sex x age"
