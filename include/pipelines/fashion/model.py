"""Ten kinds of clothes from 28 x 28 grey pixels: two convolutions a size, one dense layer.

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
            convolutions; the second have twice as many), ``units`` (neurons of the dense layer)
            and ``dropout`` (share of numbers left out while training).

    Returns:
        Input ``image``, [rows, 28, 28, 1] raw pixels; output ``probability``, [rows, 10].
    """
    image = features["image"]
    layers = tf_keras.layers
    filters, dropout = int(parameters["filters"]), float(parameters["dropout"])
    raw = tf_keras.Input(shape=image.shape, name="image", dtype=image.dtype)
    hidden = layers.Rescaling(1 / BRIGHTEST)(raw)
    hidden = _halved(hidden, filters, dropout)
    hidden = _halved(hidden, 2 * filters, dropout)
    hidden = layers.Flatten()(hidden)
    hidden = layers.Dense(int(parameters["units"]), activation="relu")(hidden)
    hidden = layers.Dropout(2 * dropout)(hidden)
    probability = layers.Dense(CLASSES, activation="softmax", name="probability")(hidden)
    return tf_keras.Model({"image": raw}, probability)


def _halved(pixels: tf.Tensor, filters: int, dropout: float) -> tf.Tensor:
    """Patterns of 3 x 3 pixels, the strongest of each 2 x 2 kept."""
    layers = tf_keras.layers
    found = layers.Conv2D(filters, 3, padding="same", activation="relu")(pixels)
    return layers.Dropout(dropout)(layers.MaxPooling2D()(found))
