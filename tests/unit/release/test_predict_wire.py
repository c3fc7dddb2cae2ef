"""The agent's own reader of gRPC predictions, held to protobuf's and TensorFlow's writers."""

from __future__ import annotations

from typing import Any

import pytest

from nightshift.release.predict_wire import WireError, message_of, read_outputs, read_request

tensorflow = pytest.importorskip("tensorflow", reason="the writers are TensorFlow's own")
from tensorflow_serving.apis import predict_pb2  # noqa: E402


def request(**inputs: Any) -> bytes:
    """A request's bytes, each input made by TensorFlow."""
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "flights"
    message.model_spec.signature_name = "serving_default"
    message.model_spec.version.value = 3
    for name, value in inputs.items():
        tensor = value if hasattr(value, "tensor_shape") else tensorflow.make_tensor_proto(value)
        message.inputs[name].CopyFrom(tensor)
    return message.SerializeToString()


def test_a_request_names_its_model_and_signature() -> None:
    read = read_request(request(x=[1.0, 2.5]))

    assert (read.model, read.signature, read.inputs) == (
        "flights",
        "serving_default",
        {"x": [1.0, 2.5]},
    )


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "int64", "uint64"]
)
@pytest.mark.parametrize("shape", [(3,), (1, 2), (2, 2, 2), (1,), (0,), (2, 0)])
def test_every_type_and_shape_in_packed_bytes(dtype: str, shape: tuple[int, ...]) -> None:
    import numpy as np

    values: np.ndarray = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    if dtype.startswith(("int", "float")):
        values = -values

    assert read_request(request(x=values)).inputs["x"] == values.tolist()


@pytest.mark.parametrize(
    ("dtype", "field", "values"),
    [
        ("float32", "float_val", [0.5, -1.25]),
        ("float64", "double_val", [0.1, 1e300]),
        ("int32", "int_val", [-1, 2**31 - 1]),
        ("int64", "int64_val", [-(2**63), 2**63 - 1]),
        ("uint64", "uint64_val", [0, 2**64 - 1]),
        ("bool", "bool_val", [True, False]),
        ("string", "string_val", [b"AA", "é".encode()]),
    ],
)
def test_every_type_in_its_own_list(dtype: str, field: str, values: list[Any]) -> None:
    from tensorflow.core.framework import tensor_pb2

    tensor = tensor_pb2.TensorProto(dtype=tensorflow.as_dtype(dtype).as_datatype_enum)
    tensor.tensor_shape.dim.add(size=2)
    getattr(tensor, field).extend(values)

    expected = [v.decode() if isinstance(v, bytes) else v for v in values]
    assert read_request(request(x=tensor)).inputs["x"] == expected


def test_one_value_may_stand_for_a_whole_tensor() -> None:
    from tensorflow.core.framework import tensor_pb2

    tensor = tensor_pb2.TensorProto(dtype=1, float_val=[0.5])
    tensor.tensor_shape.dim.add(size=2)
    tensor.tensor_shape.dim.add(size=2)

    assert read_request(request(x=tensor)).inputs["x"] == [[0.5, 0.5], [0.5, 0.5]]


def test_bytes_that_are_no_text_are_as_in_rest() -> None:
    assert read_request(request(x=[b"\xff"])).inputs["x"] == [{"b64": "/w=="}]


def test_a_scalar_stays_one() -> None:
    assert read_request(request(x=2.5)).inputs["x"] == 2.5


def test_outputs_are_read_by_name() -> None:
    answer = predict_pb2.PredictResponse()
    answer.outputs["a"].CopyFrom(tensorflow.make_tensor_proto([[0.5], [float("nan")]]))
    answer.outputs["b"].CopyFrom(tensorflow.make_tensor_proto([b"yes", b"no"]))
    answer.model_spec.version.value = 3

    read = read_outputs(answer.SerializeToString())

    assert read["b"] == ["yes", "no"]
    assert read["a"][0] == [0.5]
    assert read["a"][1][0] != read["a"][1][0]


@pytest.mark.parametrize("body", [b"", b"\0\0\0\0\5abc", b"\1\0\0\0\0", b"\0\0\0\0\1ab"])
def test_a_body_that_is_no_single_message_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        message_of(body)


def test_the_message_is_what_follows_its_frame() -> None:
    assert message_of(b"\0\0\0\0\3abc") == b"abc"


def test_damaged_bytes_are_refused_and_never_another_error() -> None:
    import random

    whole = request(x=[1.0, 2.5], s=["AA", "B6"], n=[1, 2])
    random.seed(7)
    for _ in range(3000):
        spoiled = bytearray(whole[: random.randrange(len(whole) + 1)])
        for _ in range(random.randrange(3)):
            if spoiled:
                spoiled[random.randrange(len(spoiled))] = random.randrange(256)
        try:
            read_request(bytes(spoiled))
        except WireError:
            pass


def test_a_huge_shape_takes_no_memory() -> None:
    from tensorflow.core.framework import tensor_pb2

    tensor = tensor_pb2.TensorProto(dtype=1, float_val=[0.5])
    tensor.tensor_shape.dim.add(size=2**40)

    with pytest.raises(WireError, match="shape"):
        read_request(request(x=tensor))
