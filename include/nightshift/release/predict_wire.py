"""TensorFlow Serving's gRPC messages of a prediction, read from their bytes.

The agent's runtime has neither TensorFlow nor protobuf, and two messages are all that it needs:
this reads their wire format (https://protobuf.dev/programming-guides/encoding) and no more. Field
numbers are those of ``tensorflow_serving/apis/predict.proto`` and
``tensorflow/core/framework/tensor.proto``.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FRAME = 5
"""Bytes before each gRPC message: whether it is compressed, and its length."""
_MOST_VALUES = 1_000_000
_STRING = 7
_BOOL = 10
# DataType: struct's letter for tensor_content, the field of the typed list, its values' wire type.
_NUMBERS = {
    1: ("f", 5, _FIXED32),
    2: ("d", 6, _FIXED64),
    3: ("i", 7, _VARINT),
    4: ("B", 7, _VARINT),
    5: ("h", 7, _VARINT),
    6: ("b", 7, _VARINT),
    9: ("q", 10, _VARINT),
    10: ("?", 11, _VARINT),
    17: ("H", 7, _VARINT),
    22: ("I", 16, _VARINT),
    23: ("Q", 17, _VARINT),
}
_UNSIGNED = frozenset({4, 17, 22, 23})


class WireError(ValueError):
    """The bytes are not such a message, or hold what is not read here; says which."""


@dataclass(frozen=True)
class PredictRequest:
    """A prediction's request: each input as nested lists by its shape."""

    model: str
    signature: str
    inputs: dict[str, Any]


def message_of(body: bytes) -> bytes:
    """The only message of a unary call's body (raises WireError)."""
    if len(body) < _FRAME or body[0]:
        raise WireError("no message, or a compressed one")
    length = int.from_bytes(body[1:_FRAME], "big")
    if len(body) != _FRAME + length:
        raise WireError(f"{len(body) - _FRAME} bytes instead of {length}")
    return body[_FRAME:]


def read_request(message: bytes) -> PredictRequest:
    """A ``PredictRequest`` (raises WireError)."""
    model = signature = ""
    inputs: dict[str, Any] = {}
    for number, value in _fields(message):
        if number == 1:
            model, signature = _model_spec(_bytes(value))
        elif number == 2:
            name, tensor = _entry(_bytes(value))
            inputs[name] = tensor
    return PredictRequest(model, signature, inputs)


def read_outputs(message: bytes) -> dict[str, Any]:
    """The outputs of a ``PredictResponse``, each as nested lists (raises WireError)."""
    return dict(_entry(_bytes(value)) for number, value in _fields(message) if number == 1)


def _model_spec(message: bytes) -> tuple[str, str]:
    texts = {n: _text(_bytes(v)) for n, v in _fields(message) if n in (1, 3)}
    return texts.get(1, ""), texts.get(3, "")


def _entry(message: bytes) -> tuple[str, Any]:
    found = {number: _bytes(value) for number, value in _fields(message)}
    return _text(found.get(1, b"")), _tensor(found.get(2, b""))


def _tensor(message: bytes) -> Any:
    fields: dict[int, list[int | bytes]] = {}
    for number, value in _fields(message):
        fields.setdefault(number, []).append(value)
    [dtype] = fields.get(1, [0])[-1:]
    shape = [size for part in fields.get(2, []) for size in _shape(_bytes(part))]
    # Empty parts count too: they make lists as others do.
    if min(shape, default=0) < 0 or math.prod(max(1, size) for size in shape) > _MOST_VALUES:
        raise WireError(f"a tensor of shape {shape}")
    count = math.prod(shape)
    assert isinstance(dtype, int)
    if dtype == _STRING:
        values = [_string(_bytes(value)) for value in fields.get(8, [])]
    elif dtype in _NUMBERS:
        values = _numbers(dtype, fields)
    else:
        raise WireError(f"a tensor of type number {dtype}")
    return _nested(_filled(values, count), shape)


def _shape(message: bytes) -> Iterator[int]:
    for number, value in _fields(message):
        if number == 3:
            raise WireError("a tensor of unknown rank")
        if number == 2:
            sizes = [v for n, v in _fields(_bytes(value)) if n == 1]
            yield _signed(sizes[-1]) if sizes else 0


def _numbers(dtype: int, fields: dict[int, list[int | bytes]]) -> list[Any]:
    letter, number, wire = _NUMBERS[dtype]
    if 4 in fields:
        content = _bytes(fields[4][-1])
        if len(content) % struct.calcsize("<" + letter):
            raise WireError("tensor_content of another length than its type's")
        return list(
            struct.unpack(f"<{len(content) // struct.calcsize('<' + letter)}{letter}", content)
        )
    raw = [v for value in fields.get(number, []) for v in _unpacked(value, wire)]
    if wire == _VARINT:
        numbers = raw if dtype in _UNSIGNED else [_signed(value) for value in raw]
        return [bool(value) for value in numbers] if dtype == _BOOL else numbers
    bits, real = ("<I", "<f") if wire == _FIXED32 else ("<Q", "<d")
    return [struct.unpack(real, struct.pack(bits, value))[0] for value in raw]


def _unpacked(value: int | bytes, wire: int) -> list[int]:
    """Values of a repeated number, packed into one field or each in its own."""
    if isinstance(value, int):
        return [value]
    if wire == _VARINT:
        numbers, at = [], 0
        while at < len(value):
            number, at = _varint(value, at)
            numbers.append(number)
        return numbers
    letter, size = ("I", 4) if wire == _FIXED32 else ("Q", 8)
    if len(value) % size:
        raise WireError("packed numbers end too early")
    return list(struct.unpack(f"<{len(value) // size}{letter}", value))


def _filled(values: list[Any], count: int) -> list[Any]:
    """A shorter list stands for its last value repeated (tensor.proto)."""
    if len(values) > count or (count and not values):
        raise WireError(f"{len(values)} values for a tensor of {count}")
    return values + values[-1:] * (count - len(values))


def _nested(values: list[Any], shape: list[int]) -> Any:
    if not shape:
        return values[0]
    if len(shape) == 1:
        return values
    size = math.prod(shape[1:])
    parts = (values[at * size : (at + 1) * size] for at in range(shape[0]))
    return [_nested(part, shape[1:]) for part in parts]


def _string(value: bytes) -> Any:
    """Text, or what TensorFlow Serving's REST API takes for other bytes."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise WireError("a name that is not UTF-8") from error


# --- The wire format ---------------------------------------------------------------------------


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value: int | bytes
        if tag & 7 == _VARINT:
            value, at = _varint(message, at)
        else:
            value, at = _sized(message, at, tag & 7)
        yield tag >> 3, value


def _sized(message: bytes, at: int, wire: int) -> tuple[int | bytes, int]:
    if wire == _BYTES:
        length, at = _varint(message, at)
    elif wire in (_FIXED32, _FIXED64):
        length = 4 if wire == _FIXED32 else 8
    else:
        raise WireError(f"wire type {wire}")
    end = at + length
    if end > len(message):
        raise WireError("it ends too early")
    part = message[at:end]
    return (part if wire == _BYTES else int.from_bytes(part, "little")), end


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & (1 << 64) - 1, at
        shift += 7
    raise WireError("a number ends too early")


def _signed(value: int | bytes) -> int:
    """An int64 from its two's complement."""
    if not isinstance(value, int):
        raise WireError("bytes where a number was expected")
    return value - (1 << 64) if value >> 63 else value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise WireError("a number where bytes were expected")
    return value
