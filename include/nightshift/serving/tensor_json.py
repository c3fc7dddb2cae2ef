"""Tensors as JSON text.

A float32 is written with the fewest digits that read back as the same float32 (0.1, not
0.10000000149011612), whole numbers keep their `.0`, and NaN, Infinity and -Infinity are written as
these words: not JSON, but what TensorFlow Serving writes and JavaScript and Python read.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from nightshift.serving.errors import invalid_argument
from nightshift.serving.signature import Tensor

_NOT_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def tensor_tokens(tensor: Tensor, *, as_bytes: bool) -> Iterator[str]:
    """The JSON text of each element along the first dimension.

    Args:
        tensor: At least one dimension.
        as_bytes: Whether strings are written as `{"b64": "…"}` rather than as text.

    Raises:
        ServingError: INVALID_ARGUMENT for a type that JSON cannot carry.
    """
    tokens = _value_tokens(tensor.ravel(), as_bytes)
    inner = tensor.shape[1:]
    size = math.prod(inner)
    for row in range(tensor.shape[0]):
        yield _nested(tokens[row * size : (row + 1) * size], inner)


def _nested(tokens: list[str], shape: tuple[int, ...]) -> str:
    if not shape:
        return tokens[0]
    if len(shape) == 1:
        return "[" + ", ".join(tokens) + "]"
    size = math.prod(shape[1:])
    parts = (_nested(tokens[at * size : (at + 1) * size], shape[1:]) for at in range(shape[0]))
    return "[" + ", ".join(parts) + "]"


def _value_tokens(flat: Tensor, as_bytes: bool) -> list[str]:
    match flat.dtype.kind:
        case "f" if flat.dtype.itemsize >= 4:
            return _float_tokens(flat)
        case "i" | "u":
            return [str(value) for value in flat.tolist()]
        case "b":
            return ["true" if value else "false" for value in flat.tolist()]
        case "O" | "S":
            return [_string_token(value, as_bytes) for value in flat.tolist()]
        case _:
            raise invalid_argument(f"Failed to write JSON value for tensor type: {flat.dtype}")


def _float_tokens(flat: Tensor) -> list[str]:
    tokens: list[str] = flat.astype("U").tolist()
    if np.isfinite(flat).all():
        return tokens
    return [_NOT_FINITE.get(token, token) for token in tokens]


def _string_token(value: Any, as_bytes: bool) -> str:
    if as_bytes:
        return '{"b64": "' + base64.b64encode(value).decode("ascii") + '"}'
    return json.dumps(value.decode("utf-8", "surrogateescape"), ensure_ascii=False)
