"""The bodies of REST predictions, in row format and in column format.

Row: `{"instances": [{"x": 1.0, "c": "AA"}, …]}` → `{"predictions": [{"a": 0.1, "b": 2}, …]}`.
Column: `{"inputs": {"x": [1.0, …], "c": ["AA", …]}}` → `{"outputs": {"a": [0.1, …], "b": …}}`.
With a single input or output its name is left out. Rules and messages follow TensorFlow Serving's
`util/json_tensor.cc`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import numpy as np

from nightshift.serving.errors import ServingError, invalid_argument
from nightshift.serving.json_tensor import (
    debug_text,
    flatten,
    is_base64,
    require_same_shape,
    shape_of,
    to_tensor,
)
from nightshift.serving.signature import Signature, Tensor, TensorSpec
from nightshift.serving.tensor_json import tensor_tokens

_DECODER: Final = json.JSONDecoder()


class BodyFormat(Enum):
    """How tensors are laid out in a body; the value is its key in a request."""

    ROW = "instances"
    COLUMN = "inputs"


@dataclass(frozen=True)
class PredictBody:
    """A parsed request body, before its signature is known.

    Attributes:
        signature_name: As sent; empty for the default.
        format: Row or column.
        content: The value under `instances` or `inputs`.
    """

    signature_name: str
    format: BodyFormat
    content: Any


def parse_body(body: bytes) -> PredictBody:
    """Read a request body.

    Raises:
        ServingError: INVALID_ARGUMENT for anything but one JSON object with a string (or no)
            `signature_name` and exactly one of `instances` and `inputs`.
    """
    document = _parse_object(body)
    signature_name = document.get("signature_name", "")
    if not isinstance(signature_name, str):
        raise invalid_argument(
            f"JSON Value: {debug_text(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    if "instances" in document and "inputs" in document:
        raise invalid_argument(
            f"JSON Value: {debug_text(document)} Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist "
        )
    if "instances" in document:
        _require_rows(document)
        return PredictBody(signature_name, BodyFormat.ROW, document["instances"])
    if "inputs" in document:
        return PredictBody(signature_name, BodyFormat.COLUMN, document["inputs"])
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def tensors_from_body(body: PredictBody, signature: Signature) -> dict[str, Tensor]:
    """The tensors of a request, typed as its signature declares.

    Raises:
        ServingError: INVALID_ARGUMENT naming the element and key that does not fit.
    """
    if not signature.inputs:
        raise invalid_argument(
            f"Failed to get input map for signature: {body.signature_name or 'DEFAULT'}"
        )
    if body.format is BodyFormat.ROW:
        return _tensors_from_rows(body.content, signature)
    return _tensors_from_columns(body.content, signature)


def body_from_tensors(outputs: dict[str, Tensor], body_format: BodyFormat) -> bytes:
    """The answer to a request of the same format.

    Raises:
        ServingError: INVALID_ARGUMENT where row format cannot hold the outputs: one without a
            batch dimension, or batches of unequal size.
    """
    if not outputs:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    text = _rows(outputs) if body_format is BodyFormat.ROW else _columns(outputs)
    # surrogateescape: a string output that is no UTF-8 goes out as the bytes it is.
    return text.encode("utf-8", "surrogateescape")


def error_body(message: str) -> bytes:
    """The body of every REST error."""
    return json.dumps({"error": message}, indent=4, ensure_ascii=False).encode("utf-8", "replace")


# Requests


def _parse_object(body: bytes) -> dict[str, Any]:
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        text = body.decode("utf-8-sig").lstrip()
        # What follows the first value is ignored, as TensorFlow Serving's parser does.
        document, _ = _DECODER.raw_decode(text)
    except UnicodeDecodeError as error:
        raise invalid_argument(
            f"JSON Parse error: Invalid encoding in string. at offset: {error.start}"
        ) from error
    except json.JSONDecodeError as error:
        raise invalid_argument(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except (RecursionError, ValueError) as error:
        raise invalid_argument(f"JSON Parse error: {error} at offset: 0") from error
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {debug_text(document)} Is not object")
    return document


def _require_rows(document: dict[str, Any]) -> None:
    rows = document["instances"]
    if not isinstance(rows, list):
        raise invalid_argument(
            f"JSON Value: {debug_text(document)} Expecting 'instances' to be an list/array"
        )
    if not rows:
        raise invalid_argument(f"JSON Value: {debug_text(document)} No values in 'instances' array")


def _tensors_from_rows(rows: list[Any], signature: Signature) -> dict[str, Tensor]:
    if not isinstance(rows[0], dict) and len(signature.inputs) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    named = _is_named(rows[0])
    batches = {alias: _Batch(spec) for alias, spec in signature.inputs.items()}
    for index, row in enumerate(rows):
        if named:
            _add_named_row(row, index, batches)
        else:
            _add_plain_row(row, index, batches)
    return {alias: batch.tensor(len(rows)) for alias, batch in batches.items()}


class _Batch:
    """The values of one input, row after row."""

    def __init__(self, spec: TensorSpec) -> None:
        self._spec = spec
        self._shape: tuple[int, ...] | None = None
        self._flat: list[Any] = []

    def add(self, value: Any) -> None:
        shape = shape_of(value)
        flat = flatten(value, shape, self._spec)
        if self._shape is None:
            self._shape = shape
        elif shape != self._shape:
            require_same_shape(self._shape, shape)
        self._flat += flat

    def tensor(self, rows: int) -> Tensor:
        return to_tensor(self._flat, (rows, *(self._shape or ())), self._spec)


def _add_named_row(row: Any, index: int, batches: dict[str, _Batch]) -> None:
    if not _is_named(row):
        raise invalid_argument(f"Expecting object but got list at item {index} of input list")
    for alias, value in row.items():
        try:
            if alias not in batches:
                raise invalid_argument(f"JSON object: does not have named input: {alias}")
            batches[alias].add(value)
        except ServingError as error:
            raise invalid_argument(
                f"Failed to process element: {index} key: {alias} of 'instances' list. "
                f"Error: {error}"
            ) from error
    if len(row) != len(batches):
        raise invalid_argument(
            f"Failed to process element: {index} of 'instances' list. JSON object: "
            f"{debug_text(row)} keys must be equal to: {','.join(batches)}"
        )


def _add_plain_row(row: Any, index: int, batches: dict[str, _Batch]) -> None:
    if _is_named(row):
        raise invalid_argument(f"Expecting value/list but got object at item {index} of input list")
    try:
        next(iter(batches.values())).add(row)
    except ServingError as error:
        raise invalid_argument(
            f"Failed to process element: {index} of 'instances' list. Error: {error}"
        ) from error


def _tensors_from_columns(columns: Any, signature: Signature) -> dict[str, Tensor]:
    if _is_named(columns):
        return {alias: _named_column(columns, spec) for alias, spec in signature.inputs.items()}
    if len(signature.inputs) > 1:
        raise invalid_argument(
            "inputs is a plain value/list, but expecting an object as multiple "
            "input tensors required as per tensorinfo_map"
        )
    alias, spec = next(iter(signature.inputs.items()))
    return {alias: _column(columns, spec)}


def _named_column(columns: dict[str, Any], spec: TensorSpec) -> Tensor:
    if spec.alias not in columns:
        raise invalid_argument(f"Missing named input: {spec.alias} in 'inputs' object.")
    return _column(columns[spec.alias], spec)


def _column(value: Any, spec: TensorSpec) -> Tensor:
    shape = shape_of(value)
    return to_tensor(flatten(value, shape, spec), shape, spec)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


# Answers


def _rows(outputs: dict[str, Tensor]) -> str:
    _require_one_batch(outputs)
    columns = [_tokens(alias, tensor) for alias, tensor in outputs.items()]
    if len(columns) == 1:
        return '{\n    "predictions": [' + ", ".join(columns[0]) + "]\n}"
    names = [json.dumps(alias, ensure_ascii=False) for alias in outputs]
    rows = (_object(names, list(row)) for row in zip(*columns, strict=True))
    return '{\n    "predictions": [\n' + ",\n".join(rows) + "\n    ]\n}"


def _columns(outputs: dict[str, Tensor]) -> str:
    if len(outputs) == 1:
        alias, tensor = next(iter(outputs.items()))
        return '{\n    "outputs": ' + _whole(alias, tensor) + "\n}"
    names = [json.dumps(alias, ensure_ascii=False) for alias in outputs]
    values = [_whole(alias, tensor) for alias, tensor in outputs.items()]
    return '{\n    "outputs": ' + _object(names, values) + "\n}"


def _whole(alias: str, tensor: Tensor) -> str:
    array = np.asarray(tensor)
    return next(iter(_tokens(alias, array.reshape((1, *array.shape)))))


def _object(names: list[str], values: list[str]) -> str:
    pairs = (f"            {name}: {value}" for name, value in zip(names, values, strict=True))
    return "        {\n" + ",\n".join(pairs) + "\n        }"


def _tokens(alias: str, tensor: Tensor) -> Iterator[str]:
    """The JSON text of each element along the first dimension."""
    return tensor_tokens(np.asarray(tensor), as_bytes=alias.endswith("_bytes"))


def _require_one_batch(outputs: dict[str, Tensor]) -> None:
    batch: int | None = None
    for alias, tensor in outputs.items():
        if np.ndim(tensor) == 0:
            raise invalid_argument(f"Tensor name: {alias} has no shape information ")
        size = np.shape(tensor)[0]
        if batch is not None and batch != size:
            raise invalid_argument(
                f"Tensor name: {alias} has inconsistent batch size: {size} expecting: {batch}"
            )
        batch = size
