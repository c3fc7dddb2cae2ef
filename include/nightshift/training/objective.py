"""What fitting minimises and reports: it follows from the kind of label alone."""

from __future__ import annotations

import tf_keras

from nightshift.definition.model import Label


def loss_of(label: Label) -> tf_keras.losses.Loss:
    """Mean cross-entropy in nats: over the classes, or of the chance of 1."""
    if label.classes:
        return tf_keras.losses.SparseCategoricalCrossentropy()
    return tf_keras.losses.BinaryCrossentropy()


def metrics_of(label: Label) -> list[tf_keras.metrics.Metric]:
    """Metrics of an epoch, by the names of :class:`nightshift.training.fit.Epoch`."""
    if label.classes:
        return [tf_keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    return [
        tf_keras.metrics.AUC(name="auc"),
        tf_keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.5),
    ]
