"""Ten kinds of clothes from 28 x 28 grey pixels: three convolutions and one dense layer.

Made to be compressed: every layer has an 8-bit form in TFLite, dropout is gone once trained, and
nothing is normalised by batches, which could not be folded into the weights everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
import tf_keras

from nightshift.training.features import FeatureStatistics

BRIGHTEST = 255
CLASSES = 10


def build(
    features: Mapping[str, FeatureStatistics],
    parameters: Mapping[str, bool | int | float | str],
) -> tf_keras.Model:
    """The model, not yet compiled.

    Args:
        features: What the train part of the window holds: one image.
        parameters: ``training.parameters`` of pipeline.yaml: ``filters`` (of the first
            convolution; each further one has twice as many), ``units`` (neurons of the dense
            layer) and ``dropout`` (share of these left out while training).

    Returns:
        Input ``image``, [rows, 28, 28, 1] raw pixels; output ``probability``, [rows, 10].
    """
    image = features["image"]
    layers = tf_keras.layers
    filters = int(parameters["filters"])
    raw = tf_keras.Input(shape=image.shape, name="image", dtype=image.dtype)
    hidden = layers.Rescaling(1 / BRIGHTEST)(raw)
    # Few filters where there are many pixels: half the arithmetic of 32 and 64, and no less right.
    hidden = layers.MaxPooling2D()(_convolved(hidden, filters))
    hidden = layers.MaxPooling2D()(_convolved(hidden, 2 * filters))
    hidden = _convolved(hidden, 4 * filters)
    hidden = layers.Dense(int(parameters["units"]), activation="relu")(layers.Flatten()(hidden))
    hidden = layers.Dropout(float(parameters["dropout"]))(hidden)
    # Logits stay float32 under mixed precision, so that probabilities add up to 1.
    probability = layers.Dense(CLASSES, activation="softmax", name="probability", dtype="float32")(
        hidden
    )
    return tf_keras.Model({"image": raw}, probability)


def _convolved(pixels: tf.Tensor, filters: int) -> tf.Tensor:
    return tf_keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(pixels)
