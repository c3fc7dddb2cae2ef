"""Which operators a ``.tflite`` file holds, and which of them compute in float. No TensorFlow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from nightshift.compression.result import FloatOperator

_TYPES = {v: k for k, v in vars(schema.TensorType).items() if not k.startswith("_")}
_OPERATORS = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
_FLOATS = frozenset({"FLOAT16", "BFLOAT16", "FLOAT32", "FLOAT64"})
_AT_THE_DOOR = {"QUANTIZE": "inputs", "DEQUANTIZE": "outputs"}


def operator_counts(content: bytes) -> dict[str, int]:
    """How often each operator occurs, most frequent first."""
    model = flatbuffer_utils.read_model_from_bytearray(content)
    names = [_name(model, op) for graph in model.subgraphs for op in graph.operators]
    return dict(Counter(names).most_common())


def float_operators(content: bytes, *, float_interface: bool = False) -> tuple[FloatOperator, ...]:
    """Operators that compute in float: none in a model that claims full integer.

    A tensor's own type decides, whatever the operator is called: a CAST from float, a DEQUANTIZE in
    the middle and a convolution that the converter left alone are all found.

    Args:
        content: The ``.tflite`` file.
        float_interface: Allow one QUANTIZE right behind each float input of the model, and one
            DEQUANTIZE right before each float output: the shape of a variant that is served.
    """
    model = flatbuffer_utils.read_model_from_bytearray(content)
    return tuple(
        FloatOperator(name=_name(model, op), number=number, tensors=touched)
        for graph in model.subgraphs
        for number, op in enumerate(graph.operators)
        if (touched := tuple(_float_tensors(graph, op)))
        and not (float_interface and _is_door(model, graph, op))
    )


def _is_door(model: Any, graph: Any, op: Any) -> bool:
    """Whether it only turns the model's own float input or output into integers, or back."""
    side = _AT_THE_DOOR.get(_name(model, op))
    return side is not None and set(_indices(getattr(op, side))) <= set(getattr(graph, side))


def _float_tensors(graph: Any, op: Any) -> Iterator[str]:
    for index in dict.fromkeys((*_indices(op.inputs), *_indices(op.outputs))):
        tensor = graph.tensors[index]
        kind = _TYPES[tensor.type]
        if kind in _FLOATS:
            yield f"{tensor.name.decode()}: {kind}"


def _indices(tensors: Any) -> list[int]:
    # -1 stands for an optional input that is left out.
    return [int(index) for index in tensors if index >= 0]


def _name(model: Any, op: Any) -> str:
    code = model.operatorCodes[op.opcodeIndex]
    if code.customCode:
        return str(code.customCode.decode())
    # Codes above 127 do not fit the older of the two fields, which then holds a placeholder.
    return _OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]
