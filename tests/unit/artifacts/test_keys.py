"""A key changes with everything that goes in, and with nothing else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nightshift.artifacts.keys import KEY_LENGTH, canonical, derive_key

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=5), json_values, max_size=4)
names = st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=3)


def key(**parts: Any) -> str:
    whole: dict[str, Any] = {"step": "train", "inputs": {}, "parameters": {}, "code": {}}
    return derive_key(**(whole | parts))


@given(objects)
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    assert canonical(value) == canonical(dict(reversed(value.items())))


@given(objects, names, names)
def test_the_same_input_gives_the_same_key(
    parameters: dict[str, Any], inputs: dict[str, str], code: dict[str, str]
) -> None:
    first = key(parameters=parameters, inputs=inputs, code=code)
    second = key(parameters=dict(parameters), inputs=dict(inputs), code=dict(code))
    assert first == second
    assert len(first) == KEY_LENGTH


@given(objects, objects)
def test_other_parameters_give_another_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = canonical(one) == canonical(other)
    assert (key(parameters=one) == key(parameters=other)) is same


@given(names)
def test_each_part_counts_as_itself(values: dict[str, str]) -> None:
    if values:
        assert len({key(inputs=values), key(parameters=values), key(code=values)}) == 3


def test_force_makes_another_key() -> None:
    assert key() != key(nonce="manual__1")


def test_step_name_counts() -> None:
    assert key(step="train") != key(step="evaluate")
