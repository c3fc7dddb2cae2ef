"""A model's signatures: the named tensors that a request must bring and an answer holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2

DEFAULT_SIGNATURE: Final = "serving_default"

Tensor: TypeAlias = NDArray[Any]
"""A numpy array; strings are object arrays of `bytes`."""


@dataclass(frozen=True)
class TensorSpec:
    """One named input or output.

    Attributes:
        alias: Name in requests and answers.
        graph_name: Name of the tensor in the graph, such as `serving_default_x:0`.
        data_type: Number of its `tensorflow.DataType`.
        shape: Size per dimension, None where any size will do; None as a whole for any rank.
    """

    alias: str
    graph_name: str
    data_type: int
    shape: tuple[int | None, ...] | None

    @property
    def type_name(self) -> str:
        """TensorFlow's own short name of the data type: float, double, int64, string …"""
        return type_name(self.data_type)

    @property
    def numpy_type(self) -> Any:
        """The numpy type of such a tensor; `object` for strings."""
        return tf.dtypes.as_dtype(self.data_type).as_numpy_dtype

    @property
    def is_string(self) -> bool:
        """Whether the tensor holds bytes."""
        return bool(self.data_type == types_pb2.DT_STRING)

    def accepts_shape(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape fits."""
        if self.shape is None:
            return True
        return len(self.shape) == len(shape) and all(
            want is None or want == got for want, got in zip(self.shape, shape, strict=True)
        )

    def shape_text(self) -> str:
        """The shape as TensorFlow prints it: `[-1,3]`, `[?]` for any rank."""
        if self.shape is None:
            return "[?]"
        return shape_text(tuple(-1 if size is None else size for size in self.shape))


@dataclass(frozen=True)
class Signature:
    """One callable of a SavedModel.

    Attributes:
        name: Signature name, such as `serving_default`.
        inputs: Inputs by alias, in alphabetical order.
        outputs: Outputs by alias, in alphabetical order.
        defaults: Values of inputs that a request may leave out.
    """

    name: str
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    defaults: dict[str, Tensor] = field(default_factory=dict)

    def input_types(self) -> dict[str, int]:
        """The declared `tensorflow.DataType` of each input, by alias."""
        return {alias: spec.data_type for alias, spec in self.inputs.items()}


def signature_from_proto(name: str, signature_def: Any) -> Signature:
    """Read a SignatureDef message."""
    return Signature(
        name=name,
        inputs=_specs(signature_def.inputs),
        outputs=_specs(signature_def.outputs),
        defaults={
            alias: np.asarray(tf.make_ndarray(value))
            for alias, value in signature_def.defaults.items()
        },
    )


def type_name(data_type: int) -> str:
    """TensorFlow's short name of a `tensorflow.DataType`: DT_FLOAT is `float`."""
    return str(types_pb2.DataType.Name(data_type)).removeprefix("DT_").lower()


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as TensorFlow prints it: `[2,3]`."""
    return "[" + ",".join(str(size) for size in shape) + "]"


def _specs(tensors: Any) -> dict[str, TensorSpec]:
    return {
        alias: TensorSpec(alias, tensors[alias].name, tensors[alias].dtype, _shape(tensors[alias]))
        for alias in sorted(tensors)
    }


def _shape(tensor_info: Any) -> tuple[int | None, ...] | None:
    shape = tensor_info.tensor_shape
    if shape.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else dim.size for dim in shape.dim)
