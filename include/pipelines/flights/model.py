"""Late arrival from what a schedule knows: embeddings of every feature, two dense layers.

Preprocessing is inside, so that a client sends a schedule's own raw columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
import tf_keras
from nightshift.training.features import FeatureStatistics

CATEGORIES = ("carrier", "origin", "dest")
HOURS_AND_MINUTES = ("sched_dep_time", "sched_arr_time")  # 1745 is 17:45
SLOT_MINUTES = 30
SLOTS = 24 * 60 // SLOT_MINUTES


def build(
    features: Mapping[str, FeatureStatistics],
    parameters: Mapping[str, bool | int | float | str],
) -> tf_keras.Model:
    """The model, not yet compiled.

    Args:
        features: What the train part of the window holds, by feature.
        parameters: ``training.parameters`` of pipeline.yaml: ``units_1``, ``units_2`` and
            ``embedding``, all numbers of neurons.

    Returns:
        Inputs of shape [rows, 1] named as the features; the output ``probability``, [rows, 1].
    """
    width = int(parameters["embedding"])
    inputs = {
        name: tf_keras.Input(shape=(1,), name=name, dtype=feature.dtype)
        for name, feature in features.items()
    }
    parts = [_category(inputs[name], features[name], width) for name in CATEGORIES]
    parts += [_time_of_day(inputs[name], width) for name in HOURS_AND_MINUTES]
    parts += [_small_number(inputs["month"], 13, 2), _small_number(inputs["weekday"], 7, 4)]
    parts += [_standardised(inputs["distance"], features["distance"])]
    hidden = tf_keras.layers.Concatenate()(parts)
    for name in ("units_1", "units_2"):
        hidden = tf_keras.layers.Dense(int(parameters[name]), activation="relu")(hidden)
    probability = tf_keras.layers.Dense(1, activation="sigmoid", name="probability")(hidden)
    return tf_keras.Model(inputs, probability)


def _category(raw: tf.Tensor, feature: FeatureStatistics, width: int) -> tf.Tensor:
    # Index 0 is for categories never seen in training: a new destination still gets an answer.
    index = tf_keras.layers.StringLookup(vocabulary=list(feature.vocabulary))(raw)
    return _embedded(index, len(feature.vocabulary) + 1, width)


def _time_of_day(raw: tf.Tensor, width: int) -> tf.Tensor:
    minutes = (raw // 100) * 60 + raw % 100
    # Some schedules write midnight as 2400.
    return _embedded((minutes // SLOT_MINUTES) % SLOTS, SLOTS, width)


def _small_number(raw: tf.Tensor, size: int, width: int) -> tf.Tensor:
    return _embedded(tf.clip_by_value(raw, 0, size - 1), size, width)


def _embedded(index: tf.Tensor, size: int, width: int) -> tf.Tensor:
    return tf_keras.layers.Flatten()(tf_keras.layers.Embedding(size, width)(index))


def _standardised(raw: tf.Tensor, feature: FeatureStatistics) -> tf.Tensor:
    # Not a Normalization layer: scaling by constants needs no variables of its own.
    return (raw - feature.mean) / max(feature.variance, 1e-12) ** 0.5
