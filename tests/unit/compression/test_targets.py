"""Every target, on a small model: what it does to the file, and what the file still answers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from nightshift.compression import convert
from nightshift.compression.finetune import Lesson, finetune, sparsity_of
from nightshift.compression.litert import LiteModel
from nightshift.compression.operators import float_operators
from nightshift.definition.compression import Compression, Recipe, Target
from nightshift.definition.model import Feature, FeatureType
from nightshift.errors import BadDefinitionError
from nightshift.training.export import export
from tests.unit.compression.conftest import Small, build

FEATURES = {"image": Feature(type=FeatureType.IMAGE, shape=(6, 6, 1))}
LOG = logging.getLogger("test")


def recipe(target: Target, **values: Any) -> Recipe:
    return Compression(targets=(target,), **values).recipe_of(target)


def lesson(small: Small, epochs: int) -> Lesson:
    rows = tf.data.Dataset.from_tensor_slices((small.inputs, small.labels))
    loss = tf_keras.losses.SparseCategoricalCrossentropy()
    return Lesson(rows.batch(16).repeat(epochs), 6, loss, 1e-2)


@pytest.fixture(scope="module")
def baseline(small: Small) -> bytes:
    return convert.to_float(small.saved_model)


def test_the_float_file_answers_as_the_model(small: Small, baseline: bytes) -> None:
    answers = LiteModel(baseline).predict(small.inputs)
    np.testing.assert_allclose(answers, small.answers(), rtol=0, atol=1e-6)


def test_rows_may_be_asked_in_batches_of_any_size(small: Small, baseline: bytes) -> None:
    model = LiteModel(baseline)
    whole = model.predict(small.inputs, batch_rows=96)
    np.testing.assert_allclose(model.predict(small.inputs, 7), whole, rtol=0, atol=1e-6)


def test_float16_halves_the_weights(small: Small, baseline: bytes) -> None:
    content = convert.to_float16(small.saved_model)
    assert len(content) < 0.75 * len(baseline)
    np.testing.assert_allclose(LiteModel(content).predict(small.inputs), small.answers(), atol=2e-3)


def test_dynamic_quarters_the_large_weights(small: Small, baseline: bytes) -> None:
    content = convert.to_dynamic(small.saved_model)
    assert len(content) < 0.6 * len(baseline)
    np.testing.assert_allclose(LiteModel(content).predict(small.inputs), small.answers(), atol=0.03)


def test_int8_computes_in_integers_from_its_input_to_its_output(small: Small) -> None:
    content = convert.to_int8(small.saved_model, small.inputs)
    model = LiteModel(content)
    assert float_operators(content) == ()
    assert (model.inputs["image"]["dtype"], model.output["dtype"]) == (np.int8, np.int8)
    np.testing.assert_allclose(model.predict(small.inputs), small.answers(), atol=0.03)


def test_the_served_int8_takes_and_gives_floats_and_answers_the_same(small: Small) -> None:
    content = convert.to_int8(small.saved_model, small.inputs, float_interface=True)
    model = LiteModel(content)
    assert (model.inputs["image"]["dtype"], model.output["dtype"]) == (np.float32, np.float32)
    assert float_operators(content, float_interface=True) == ()
    integer = LiteModel(convert.to_int8(small.saved_model, small.inputs))
    np.testing.assert_array_equal(model.predict(small.inputs), integer.predict(small.inputs))


@pytest.mark.parametrize("target", [Target.PRUNED, Target.PRUNED_INT8])
def test_pruned_has_the_share_of_zeros_asked_for(
    small: Small, target: Target, tmp_path: Path
) -> None:
    how = recipe(target, sparsity=0.6, finetune_epochs=2)
    fitted = finetune(build(), how, lesson(small, 2), LOG)
    assert sparsity_of(fitted) == pytest.approx(0.6, abs=0.02)
    export(fitted, FEATURES, tmp_path)
    if target.full_integer:
        # Zero is exact in the integers of weights: the zeros are still there.
        content = convert.to_int8(tmp_path, small.inputs)
        assert float_operators(content) == ()
        assert zeros(content) >= 0.55


def zeros(content: bytes) -> float:
    """Share of zeros among the bytes of the largest tensor."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(content)
    weights = max((b.data for b in model.buffers if b.data is not None), key=len)
    return float((np.asarray(weights) == 0).mean())


def test_clustered_kernels_share_so_many_values(small: Small) -> None:
    how = recipe(Target.CLUSTERED, clusters=8, finetune_epochs=1)
    fitted = finetune(build(), how, lesson(small, 1), LOG)
    kernels = [layer.kernel.numpy() for layer in fitted.layers if hasattr(layer, "kernel")]
    assert [len(np.unique(kernel)) for kernel in kernels] == [8, 8, 8]


def test_a_model_without_a_kernel_to_change_is_refused(small: Small) -> None:
    pixels = tf_keras.Input((6, 6, 1), name="image")
    output = tf_keras.layers.Softmax(name="probability")(tf_keras.layers.Flatten()(pixels))
    with pytest.raises(BadDefinitionError, match="nothing to prune or cluster"):
        model = tf_keras.Model({"image": pixels}, output)
        finetune(model, recipe(Target.PRUNED), lesson(small, 1), LOG)


def test_what_tflite_has_no_operator_for_is_named(tmp_path: Path) -> None:
    number = tf_keras.Input((1,), name="age", dtype="int64")
    kept = tf.cast(tf.math.floordiv(number, 10), tf.float32)
    output = tf_keras.layers.Dense(1, activation="sigmoid", name="probability")(kept)
    export(
        tf_keras.Model({"age": number}, output), {"age": Feature(type=FeatureType.INT)}, tmp_path
    )
    with pytest.raises(convert.ConversionError, match="FloorDiv"):
        convert.to_float(tmp_path)
