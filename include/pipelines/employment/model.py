"""Employment from a person's answers: embeddings of words and of years of age, two dense layers.

Preprocessing is inside, so that a client sends the answers as the survey words them.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
import tf_keras

from nightshift.definition.model import FeatureType
from nightshift.training.features import FeatureStatistics

AGE = "age"
OLDEST = 90
"""The survey gives all who are older one age, 94 or 95 by the year: no year trains the other."""


def build(
    features: Mapping[str, FeatureStatistics],
    parameters: Mapping[str, bool | int | float | str],
) -> tf_keras.Model:
    """The model, not yet compiled.

    Args:
        features: What the train part of the window holds: ``age``, and answers in words.
        parameters: ``training.parameters`` of pipeline.yaml: ``units_1`` and ``units_2`` (neurons
            of the dense layers), ``embedding`` (numbers per answer and per year of age) and
            ``dropout`` (share of neurons left out while training).

    Returns:
        Inputs of shape [rows, 1] named as the features; the output ``probability``, [rows, 1].
    """
    layers, width = tf_keras.layers, int(parameters["embedding"])
    inputs = {
        name: tf_keras.Input(shape=(1,), name=name, dtype=feature.dtype)
        for name, feature in features.items()
    }
    answers = [f for f in features.values() if f.type is FeatureType.STRING]
    parts = [_answer(inputs[feature.name], feature, width) for feature in answers]
    parts += _age(inputs[AGE], features[AGE], width)
    hidden = layers.Concatenate()(parts)
    for name in ("units_1", "units_2"):
        hidden = layers.Dense(int(parameters[name]), activation="relu")(hidden)
        hidden = layers.Dropout(float(parameters["dropout"]))(hidden)
    probability = layers.Dense(1, activation="sigmoid", name="probability")(hidden)
    return tf_keras.Model(inputs, probability)


def _answer(raw: tf.Tensor, feature: FeatureStatistics, width: int) -> tf.Tensor:
    # Index 0 is for words never seen in training: a new answer still gets a probability.
    index = tf_keras.layers.StringLookup(vocabulary=list(feature.vocabulary))(raw)
    return _embedded(index, len(feature.vocabulary) + 1, width)


def _age(raw: tf.Tensor, feature: FeatureStatistics, width: int) -> list[tf.Tensor]:
    # By itself each year is free to be a step (16, 18, 65); the number joins neighbours.
    age = tf.clip_by_value(raw, 0, OLDEST)
    scale = max(feature.variance, 1e-6) ** 0.5
    number = (tf.cast(age, tf.float32) - feature.mean) / scale
    return [_embedded(age, OLDEST + 1, width), number]


def _embedded(index: tf.Tensor, size: int, width: int) -> tf.Tensor:
    return tf_keras.layers.Flatten()(tf_keras.layers.Embedding(size, width)(index))
