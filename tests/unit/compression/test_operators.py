"""A model that claims full integer and computes in float somewhere is caught."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from nightshift.compression import convert
from nightshift.compression.operators import float_operators, operator_counts
from tests.unit.compression.conftest import Small


def test_float_models_list_every_operator(small: Small) -> None:
    content = convert.to_float(small.saved_model)
    found = float_operators(content)
    assert len(found) == sum(operator_counts(content).values())
    assert {"CONV_2D", "SOFTMAX"} <= {op.name for op in found}


def test_weights_in_8_bits_alone_are_no_full_integer(small: Small) -> None:
    assert {op.name for op in float_operators(convert.to_dynamic(small.saved_model))} >= {"CONV_2D"}


def test_the_conversion_at_the_door_is_float_unless_it_is_allowed(small: Small) -> None:
    content = convert.to_int8(small.saved_model, small.inputs, float_interface=True)
    assert [op.name for op in float_operators(content)] == ["QUANTIZE", "DEQUANTIZE"]
    assert float_operators(content, float_interface=True) == ()


def test_an_operator_that_fell_back_in_the_middle_is_found_by_its_tensors(
    small: Small, tmp_path: Path
) -> None:
    # TFLite has no integer kernel for SIN: the converter leaves it in float and wraps it.
    module = tf.Module()
    module.weights = tf.Variable(tf.random.stateless_normal([36, 3], seed=(1, 2)))

    @tf.function(input_signature=[tf.TensorSpec([None, 6, 6, 1], tf.float32, name="image")])
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        mixed = tf.sin(tf.matmul(tf.reshape(image, [-1, 36]), module.weights))
        return {"probability": tf.nn.softmax(tf.matmul(mixed, tf.eye(3) * 2.0))}

    module.serve = serve
    tf.saved_model.save(module, str(tmp_path), signatures=serve)
    content = convert.to_int8(tmp_path, small.inputs, float_interface=True)
    found = float_operators(content, float_interface=True)
    assert [op.name for op in found] == ["DEQUANTIZE", "SIN", "QUANTIZE"]
    assert all("FLOAT32" in str(op) for op in found)
