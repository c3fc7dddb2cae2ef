"""The learning rate over a training."""

from __future__ import annotations

from typing import TypeAlias

import tf_keras

from nightshift.definition.training import Training

Rate: TypeAlias = float | tf_keras.optimizers.schedules.LearningRateSchedule


def rate_of(training: Training, steps: int) -> Rate:
    """What the optimizer is given.

    Args:
        training: The section.
        steps: Of one epoch. The optimizer counts them itself, also over a resumed job.
    """
    if training.learning_rate_decay == "none":
        return training.learning_rate
    return tf_keras.optimizers.schedules.CosineDecay(
        training.learning_rate, steps * training.epochs
    )
