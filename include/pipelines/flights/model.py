"""Late arrival from what a schedule knows: embeddings and numbers into two dense layers.

Preprocessing is inside, so that a client sends a schedule's own raw columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
import tf_keras

from nightshift.training.features import FeatureStatistics

CATEGORIES = ("carrier", "origin", "dest")
TIMES_OF_DAY = ("sched_dep_time", "sched_arr_time")  # HHMM: 1745 is 17:45
# As a number, not as a category: 90 days hold each weekday 12 times, and a category of its own
# learns those days' storms by heart.
NUMBERS = ("weekday", "distance")
# Season shifts all flights alike. Inside the dense layers, the first days of a month that training
# has not seen turn the ranking round: the holdout AUC of 2013-09-06 was 0.42 so, 0.67 apart.
SEASON = "month"
HOURS = 24


def build(
    features: Mapping[str, FeatureStatistics],
    parameters: Mapping[str, bool | int | float | str],
) -> tf_keras.Model:
    """The model, not yet compiled.

    Args:
        features: What the train part of the window holds, by feature.
        parameters: ``training.parameters`` of pipeline.yaml: ``units_1`` and ``units_2`` (neurons
            of the dense layers) and ``embedding`` (numbers per category).

    Returns:
        Inputs of shape [rows, 1] named as the features; the output ``probability``, [rows, 1].
    """
    width = int(parameters["embedding"])
    inputs = {
        name: tf_keras.Input(shape=(1,), name=name, dtype=feature.dtype)
        for name, feature in features.items()
    }
    parts = [_category(inputs[name], features[name], width) for name in CATEGORIES]
    parts += [_hour(inputs[name], width) for name in TIMES_OF_DAY]
    parts += [_standardised(inputs[name], features[name]) for name in NUMBERS]
    hidden = tf_keras.layers.Concatenate()(parts)
    for name in ("units_1", "units_2"):
        hidden = tf_keras.layers.Dense(int(parameters[name]), activation="relu")(hidden)
    season = _standardised(inputs[SEASON], features[SEASON])
    late = tf_keras.layers.Dense(1)(hidden) + tf_keras.layers.Dense(1, use_bias=False)(season)
    probability = tf_keras.layers.Activation("sigmoid", name="probability")(late)
    return tf_keras.Model(inputs, probability)


def _category(raw: tf.Tensor, feature: FeatureStatistics, width: int) -> tf.Tensor:
    # Index 0 is for categories never seen in training: a new destination still gets an answer.
    index = tf_keras.layers.StringLookup(vocabulary=list(feature.vocabulary))(raw)
    return _embedded(index, len(feature.vocabulary) + 1, width)


def _hour(raw: tf.Tensor, width: int) -> tf.Tensor:
    # Some schedules write midnight as 2400; a client's nonsense must not leave the table either.
    return _embedded(tf.math.floormod(raw // 100, HOURS), HOURS, width)


def _embedded(index: tf.Tensor, size: int, width: int) -> tf.Tensor:
    return tf_keras.layers.Flatten()(tf_keras.layers.Embedding(size, width)(index))


def _standardised(raw: tf.Tensor, feature: FeatureStatistics) -> tf.Tensor:
    # The floor keeps a constant column (a window inside one month) from dividing by zero.
    scale = max(feature.variance, 1e-6) ** 0.5
    return (tf.cast(raw, tf.float32) - feature.mean) / scale
