"""The model of __NAME__. Runs as it is: categories are embedded, numbers standardised.

Preprocessing is inside, so that clients send raw columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
import tf_keras

from nightshift.definition.model import FeatureType
from nightshift.training.features import FeatureStatistics


def build(
    features: Mapping[str, FeatureStatistics],
    parameters: Mapping[str, bool | int | float | str],
) -> tf_keras.Model:
    """The model, not yet compiled.

    Args:
        features: What the train part of the window holds, by feature.
        parameters: ``training.parameters`` of pipeline.yaml.

    Returns:
        Inputs of shape [rows, 1] named as the features; one output ``probability``, [rows, 1].
    """
    inputs = {
        name: tf_keras.Input(shape=(1,), name=name, dtype=feature.dtype)
        for name, feature in features.items()
    }
    parts = [_encoded(inputs[n], features[n], int(parameters["embedding"])) for n in features]
    hidden = tf_keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    hidden = tf_keras.layers.Dense(int(parameters["units"]), activation="relu")(hidden)
    probability = tf_keras.layers.Dense(1, activation="sigmoid", name="probability")(hidden)
    return tf_keras.Model(inputs, probability)


def _encoded(raw: tf.Tensor, feature: FeatureStatistics, width: int) -> tf.Tensor:
    if feature.type is FeatureType.STRING:
        # Index 0 is for categories never seen in training.
        index = tf_keras.layers.StringLookup(vocabulary=list(feature.vocabulary))(raw)
        embedding = tf_keras.layers.Embedding(len(feature.vocabulary) + 1, width)
        return tf_keras.layers.Flatten()(embedding(index))
    spread = max(feature.variance, 1e-12) ** 0.5
    return (tf.cast(raw, tf.float32) - feature.mean) / spread
