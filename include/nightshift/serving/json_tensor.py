"""JSON values into one tensor of a declared type, by TensorFlow Serving's rules.

The shape is that of the first elements; every other list must agree. A number for a float may be
written without a point; an integer may not have one; a string is text, or `{"b64": "…"}` for
bytes; nothing is converted from one kind to another.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any, Final

import numpy as np
from tensorflow.core.framework import types_pb2

from nightshift.serving.errors import ServingError, invalid_argument, unimplemented
from nightshift.serving.signature import Tensor, TensorSpec, shape_text

_DEBUG_CHARACTERS: Final = 256

_PYTHON_TYPES: Final[dict[int, frozenset[type]]] = {
    types_pb2.DT_FLOAT: frozenset({float, int}),
    types_pb2.DT_DOUBLE: frozenset({float, int}),
    types_pb2.DT_INT64: frozenset({int}),
    types_pb2.DT_INT32: frozenset({int}),
    types_pb2.DT_INT16: frozenset({int}),
    types_pb2.DT_INT8: frozenset({int}),
    types_pb2.DT_UINT8: frozenset({int}),
    types_pb2.DT_UINT32: frozenset({int}),
    types_pb2.DT_UINT64: frozenset({int}),
    types_pb2.DT_BOOL: frozenset({bool}),
    types_pb2.DT_STRING: frozenset({str}),
}

_JSON_NAMES: Final[dict[type, str]] = {
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
    type(None): "Null",
}


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of nested lists, judged by their first elements; `()` for a single value."""
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def flatten(value: Any, shape: tuple[int, ...], spec: TensorSpec) -> list[Any]:
    """All values of nested lists in order, each checked against the type of the tensor.

    Raises:
        ServingError: INVALID_ARGUMENT for lists of unequal length or depth, or a value of another
            type; UNIMPLEMENTED for a type that JSON cannot carry.
    """
    if spec.data_type not in _PYTHON_TYPES:
        raise unimplemented(
            f"Conversion of JSON Value: {debug_text(value)} to type: {spec.type_name}"
        )
    flat: list[Any] = []
    _fill(value, 0, shape, spec, flat)
    return flat


def to_tensor(flat: list[Any], shape: tuple[int, ...], spec: TensorSpec) -> Tensor:
    """Checked values as a tensor.

    Raises:
        ServingError: INVALID_ARGUMENT where an integer is outside the range of its type.
    """
    if spec.is_string:
        tensor: Tensor = np.empty(len(flat), dtype=object)
        tensor[:] = flat
        return tensor.reshape(shape)
    try:
        # A float too large for float32 becomes infinite, as a C++ cast does: no warning.
        with np.errstate(over="ignore"):
            return np.array(flat, dtype=spec.numpy_type).reshape(shape)
    except OverflowError as error:
        raise _type_error(_out_of_range(flat, spec), spec) from error


def is_base64(value: Any) -> bool:
    """Whether a JSON value is `{"b64": "<text>"}` and nothing more."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def debug_text(value: Any) -> str:
    """A JSON value for an error message, cut to 256 characters."""
    return json.dumps(value, ensure_ascii=False)[:_DEBUG_CHARACTERS]


def _fill(
    value: Any, level: int, shape: tuple[int, ...], spec: TensorSpec, flat: list[Any]
) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid_argument(
                f"JSON Value: {debug_text(value)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {len(shape)}"
            )
        flat.append(_checked(value, spec))
        return
    if level >= len(shape):
        raise invalid_argument(
            f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        )
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    if level == len(shape) - 1 and _all_plain(value, spec):
        flat.extend(value)  # the whole innermost list at once: pixels come by the hundred
        return
    for element in value:
        _fill(element, level + 1, shape, spec, flat)


def _all_plain(values: list[Any], spec: TensorSpec) -> bool:
    """Whether values can be taken as they are; strings have to be encoded first."""
    return not spec.is_string and _PYTHON_TYPES[spec.data_type].issuperset(map(type, values))


def _checked(value: Any, spec: TensorSpec) -> Any:
    if spec.is_string and isinstance(value, dict):
        return _decode_base64(value)
    if type(value) not in _PYTHON_TYPES[spec.data_type]:
        raise _type_error(value, spec)
    return _encode_text(value, spec) if spec.is_string else value


def _encode_text(value: str, spec: TensorSpec) -> bytes:
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _type_error(value.encode("ascii", "backslashreplace").decode(), spec) from error


def _decode_base64(value: dict[str, Any]) -> bytes:
    if not is_base64(value):
        raise invalid_argument(
            f"JSON Value: {debug_text(value)} not formatted correctly for base64 data"
        )
    text = value["b64"].rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("Unable to base64 decode") from error


def _out_of_range(flat: list[Any], spec: TensorSpec) -> Any:
    if spec.data_type in (types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE):
        return next(
            (value for value in flat if isinstance(value, int) and not _fits(value)),
            flat,
        )
    limits = np.iinfo(spec.numpy_type)
    return next((value for value in flat if not limits.min <= value <= limits.max), flat)


def _fits(value: int) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _type_error(value: Any, spec: TensorSpec) -> ServingError:
    return invalid_argument(
        f"JSON Value: {debug_text(value)} Type: {_json_name(value)} "
        f"is not of expected type: {spec.type_name}"
    )


def _json_name(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    return _JSON_NAMES[type(value)]


def require_same_shape(want: tuple[int, ...], got: tuple[int, ...]) -> None:
    """Every row of a batch has the shape of the first.

    Raises:
        ServingError: INVALID_ARGUMENT with both shapes.
    """
    if math.prod(want) != math.prod(got):
        raise invalid_argument(
            f"Expecting tensor size: {math.prod(want)} but got: {math.prod(got)}"
        )
    if want != got:
        raise invalid_argument(f"Expecting shape {shape_text(want)} but got: {shape_text(got)}")
