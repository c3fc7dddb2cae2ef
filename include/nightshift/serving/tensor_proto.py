"""Tensors between numpy and TensorProto, in the form that TensorFlow Serving uses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from nightshift.serving.errors import invalid_argument
from nightshift.serving.signature import Tensor

_VALUE_FIELD: Final[dict[int, str]] = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_UINT16: "int_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_STRING: "string_val",
}


def tensor_from_proto(alias: str, proto: Any) -> Tensor:
    """Read a TensorProto, whether its values are typed fields or raw content.

    Raises:
        ServingError: INVALID_ARGUMENT where the values do not fill the shape.
    """
    try:
        return np.asarray(tf.make_ndarray(proto))
    except (TypeError, ValueError) as error:
        raise invalid_argument(f"tensor parsing error: {alias}") from error


def tensor_to_proto(data_type: int, tensor: Tensor) -> Any:
    """Write a TensorProto with typed value fields.

    Clients read `.float_val` straight away, so the values go there and not into raw content.
    """
    field = _VALUE_FIELD.get(data_type)
    if field is None:
        return tf.make_tensor_proto(tensor)
    proto = tensor_pb2.TensorProto(dtype=data_type)
    for size in np.shape(tensor):
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, field).extend(_flat(tensor))
    return proto


def _flat(tensor: Tensor) -> Iterable[Any]:
    values: Iterable[Any] = np.asarray(tensor).ravel().tolist()
    return values
