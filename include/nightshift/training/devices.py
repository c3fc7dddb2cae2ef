"""Which devices of this machine compute, and in which precision."""

from __future__ import annotations

import tensorflow as tf
import tf_keras

from nightshift.definition.training import Precision, Strategy, Training
from nightshift.errors import BadDefinitionError


def strategy_here(training: Training) -> tf.distribute.Strategy | None:
    """The strategy of a job that is one process; None for ``single``.

    Call it before TensorFlow has run anything: devices cannot be divided afterwards.

    Raises:
        BadDefinitionError: ``mirrored`` over more devices than the machine has.
    """
    if training.strategy is not Strategy.MIRRORED:
        return None
    devices = _graphics_cards(training.workers) or _processors(training.workers)
    return tf.distribute.MirroredStrategy(devices)


def use_precision(precision: Precision) -> None:
    """Have models that are built from now on compute in this precision."""
    tf_keras.mixed_precision.set_global_policy(precision.value)


def _graphics_cards(count: int) -> list[str]:
    cards = tf.config.list_physical_devices("GPU")
    if cards and len(cards) < count:
        raise BadDefinitionError(
            f"training.workers is {count}, this machine has {len(cards)} GPUs; 'mirrored' takes "
            "one for each worker. Lower training.workers, or choose multi_worker.",
            field="training.workers",
            value=count,
            limit=len(cards),
        )
    return [f"GPU:{n}" for n in range(count)] if cards else []


def _processors(count: int) -> list[str]:
    """As many logical devices of the processor; its cores are shared out among them by use."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    wanted = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    tf.config.set_logical_device_configuration(cpu, wanted)
    return [f"CPU:{n}" for n in range(count)]
