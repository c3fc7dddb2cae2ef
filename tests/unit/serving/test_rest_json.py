"""REST bodies into tensors, tensors into REST bodies."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tensorflow.core.framework import types_pb2

from nightshift.serving.errors import ServingError, StatusCode
from nightshift.serving.rest_json import (
    BodyFormat,
    body_from_tensors,
    parse_body,
    tensors_from_body,
)
from nightshift.serving.signature import Signature, TensorSpec


def signature(**inputs: int) -> Signature:
    """A signature with inputs of these types, any shape."""
    specs = {name: TensorSpec(name, f"{name}:0", dtype, None) for name, dtype in inputs.items()}
    return Signature("serving_default", specs, {})


FLOAT = signature(x=types_pb2.DT_FLOAT)
INT64 = signature(x=types_pb2.DT_INT64)
STRING = signature(x=types_pb2.DT_STRING)
NAMED = signature(a=types_pb2.DT_STRING, b=types_pb2.DT_INT64)


def _types(*types: Any) -> Any:
    return st.sampled_from([np.dtype(type_) for type_ in types])


def read(body: Any, to: Signature) -> dict[str, Any]:
    """Parse a body for a signature."""
    return tensors_from_body(parse_body(json.dumps(body).encode()), to)


def test_rows_of_named_scalars_become_vectors() -> None:
    tensors = read({"instances": [{"a": "é", "b": 1}, {"b": 2, "a": ""}]}, NAMED)

    assert tensors["a"].tolist() == ["é".encode(), b""]
    assert tensors["b"].tolist() == [1, 2]
    assert tensors["b"].dtype == np.int64


def test_rows_of_lists_gain_a_batch_dimension() -> None:
    tensors = read({"instances": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}, FLOAT)

    assert tensors["x"].shape == (2, 2, 2)
    assert tensors["x"].ravel().tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_columns_keep_their_own_shapes() -> None:
    tensors = read({"inputs": {"a": [["x", "y"]], "b": 3}}, NAMED)

    assert (tensors["a"].shape, tensors["b"].shape) == ((1, 2), ())


def test_a_column_named_like_no_input_is_left_alone_as_tensorflow_serving_does() -> None:
    assert set(read({"inputs": {"a": ["x"], "b": [1], "c": [2]}}, NAMED)) == {"a", "b"}


def test_base64_stands_for_bytes_anywhere_a_string_may_stand() -> None:
    encoded = {"b64": "/wA="}

    assert read({"instances": [encoded, [encoded][0]]}, STRING)["x"].tolist() == [b"\xff\x00"] * 2
    assert read({"inputs": [[encoded], ["t"]]}, STRING)["x"].tolist() == [
        [b"\xff\x00"],
        [b"t"],
    ]


def test_a_whole_number_is_a_float_but_a_float_is_no_integer() -> None:
    assert read({"instances": [3]}, FLOAT)["x"].dtype == np.float32
    with pytest.raises(ServingError, match=r"JSON Value: 3\.0 Type: Number is not of"):
        read({"instances": [3.0]}, INT64)


def test_an_integer_out_of_range_is_named() -> None:
    assert read({"instances": [-(2**63)]}, INT64)["x"].tolist() == [-(2**63)]
    with pytest.raises(ServingError, match=str(2**63)):
        read({"instances": [1, 2**63]}, INT64)


def test_what_follows_the_body_is_ignored_as_tensorflow_serving_does() -> None:
    assert parse_body(b' {"inputs": 1} trailing').content == 1


@pytest.mark.parametrize(
    "body", [b"\xff{}", b"[" * 100_000, b'{"inputs": 1' + b"0" * 10_000 + b"}"]
)
def test_hostile_bodies_are_the_sender_s_fault(body: bytes) -> None:
    with pytest.raises(ServingError) as caught:
        tensors_from_body(parse_body(body), INT64)

    assert caught.value.code is StatusCode.INVALID_ARGUMENT


@given(
    arrays(
        _types(np.float32, np.float64),
        array_shapes(min_dims=1, max_dims=3, max_side=4),
    )
)
def test_floats_read_back_as_they_were(values: Any) -> None:
    body = json.loads(body_from_tensors({"y": values}, BodyFormat.ROW))

    assert np.array_equal(np.array(body["predictions"], values.dtype), values, equal_nan=True)


@given(
    arrays(
        _types(np.int32, np.int64, np.uint8, np.bool_),
        array_shapes(min_dims=1, max_dims=3, max_side=4),
    )
)
def test_whole_numbers_and_truth_values_read_back_as_they_were(values: Any) -> None:
    body = json.loads(body_from_tensors({"y": values}, BodyFormat.COLUMN))

    assert body["outputs"] == values.tolist()


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=4))
def test_bytes_outputs_read_back_as_they_were(values: list[bytes]) -> None:
    tensor: Any = np.empty(len(values), object)
    tensor[:] = values

    answer = json.loads(body_from_tensors({"y_bytes": tensor}, BodyFormat.ROW))["predictions"]

    assert read({"instances": answer}, STRING)["x"].tolist() == values


def test_text_outputs_that_are_no_utf8_go_out_as_they_are() -> None:
    body = body_from_tensors({"y": np.array([b"\xff"], object)}, BodyFormat.ROW)

    assert b'"\xff"' in body


def test_words_stand_for_what_is_no_number() -> None:
    values = np.array([math.nan, math.inf, -math.inf, 1.0], np.float32)

    body = body_from_tensors({"y": values}, BodyFormat.ROW)

    assert b"[NaN, Infinity, -Infinity, 1.0]" in body


@pytest.mark.parametrize(
    ("outputs", "sense"),
    [
        ({"y": np.float32(1)}, "Tensor name: y has no shape information"),
        (
            {"y": np.zeros(2), "z": np.zeros(3)},
            "Tensor name: z has inconsistent batch size: 3 expecting: 2",
        ),
        ({}, "Cannot convert empty tensor map to JSON"),
    ],
)
def test_outputs_that_are_no_rows(outputs: dict[str, Any], sense: str) -> None:
    with pytest.raises(ServingError, match=sense):
        body_from_tensors(outputs, BodyFormat.ROW)
