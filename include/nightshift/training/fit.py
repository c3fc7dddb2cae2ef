"""Fit a model: seeded, traced once, one line in the log per epoch, stopped by a loss of NaN."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tf_keras

from nightshift.definition.model import Label
from nightshift.definition.training import Training
from nightshift.errors import BadDefinitionError
from nightshift.training.dataset import Batches
from nightshift.training.objective import loss_of, metrics_of

LONGEST_EXECUTION = 1000
"""Most steps that TensorFlow runs between two looks of Python at the loss and at signals."""


@dataclass(frozen=True)
class Epoch:
    """How one epoch ended.

    Attributes:
        number: From 1.
        loss: Mean cross-entropy over the epoch's batches, in nats.
        auc: Area under the ROC curve over the epoch, interpolated over 200 thresholds; None where
            the label has classes.
        accuracy: Share of the epoch's rows whose likeliest label was right.
        seconds: Wall time; the first epoch's includes tracing.
    """

    number: int
    loss: float
    auc: float | None
    accuracy: float
    seconds: float

    def __str__(self) -> str:
        ranked = "" if self.auc is None else f" auc {self.auc:.4f}"
        return f"loss {self.loss:.4f}{ranked} accuracy {self.accuracy:.4f} {self.seconds:.1f} s"


def seed_everything(seed: int) -> None:
    """Make TensorFlow, NumPy and Python repeat themselves: same seed, same weights."""
    tf_keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def fit(
    model: tf_keras.Model,
    batches: Batches,
    training: Training,
    label: Label,
    log: logging.Logger,
    *,
    callbacks: Sequence[tf_keras.callbacks.Callback] = (),
) -> tuple[Epoch, ...]:
    """Fit ``model`` in place.

    Args:
        model: From model.py; whatever it was compiled with is replaced.
        batches: All epochs' batches.
        training: Epochs and learning rate.
        label: Chooses loss and metrics.
        log: Gets one line per epoch.
        callbacks: Keras callbacks.

    Returns:
        How each epoch ended.

    Raises:
        BadDefinitionError: The loss became NaN or infinite, or TensorFlow refused the model's
            own operations.
    """
    model.compile(
        optimizer=tf_keras.optimizers.Adam(training.learning_rate),
        loss=loss_of(label),
        metrics=metrics_of(label),
        steps_per_execution=min(batches.steps, LONGEST_EXECUTION),
    )
    # Slots made now: a function that makes variables when first traced is traced once more.
    model.optimizer.build(model.trainable_variables)
    if batches.steps <= LONGEST_EXECUTION and not tf.distribute.has_strategy():
        function = _epoch_function(model, batches.steps)
        model.make_train_function = lambda force=False: function
    watch = _Watch(training, log)
    try:
        model.fit(
            batches.dataset,
            epochs=training.epochs,
            steps_per_epoch=batches.steps,
            verbose=0,
            callbacks=[watch, *callbacks],
        )
    except (tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
        raise _refused(error) from error
    return tuple(watch.epochs)


def _epoch_function(model: tf_keras.Model, steps: int) -> Callable[..., Any]:
    """One epoch as one graph, whose step is traced once.

    Keras' own loop over ``steps_per_execution`` traces the step twice, because its result is not
    defined before the loop; here the results are read from the metrics after it.
    """

    def epoch(iterator: Any) -> dict[str, tf.Tensor]:
        def step(number: tf.Tensor) -> tuple[tf.Tensor]:
            model.train_step(next(iterator))
            return (number + 1,)

        tf.while_loop(lambda number: number < steps, step, (tf.constant(0),))
        return {metric.name: metric.result() for metric in model.metrics}

    return tf.function(epoch, autograph=False)


class _Watch(tf_keras.callbacks.Callback):
    def __init__(self, training: Training, log: logging.Logger) -> None:
        super().__init__()
        self.training = training
        self.log = log
        self.epochs: list[Epoch] = []
        self._number = 0
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._number, self._started = epoch + 1, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            raise BadDefinitionError(
                f"Training stopped in epoch {self._number} of {self.training.epochs}, by batch "
                f"{batch + 1}: the loss is {loss}, it must be a finite number. Every feature is "
                "finite, so the model diverged: lower training.learning_rate (now "
                f"{self.training.learning_rate:g}), or look in model.py for a division, logarithm "
                "or scale that can overflow.",
                file="model.py",
                epoch=self._number,
                value=str(loss),
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = logs or {}
        done = Epoch(
            self._number,
            float(values["loss"]),
            float(values["auc"]) if "auc" in values else None,
            float(values["accuracy"]),
            time.monotonic() - self._started,
        )
        self.epochs.append(done)
        self.log.info("epoch %d/%d %s", done.number, self.training.epochs, done)


def _refused(error: Exception) -> BadDefinitionError:
    text = str(getattr(error, "message", error))
    # TensorFlow lists where the failed operation was defined; the line in model.py is the one.
    places = re.findall(r'File "[^"]*/([^"/]+/model\.py)", line (\d+)', text)
    where = f"{places[-1][0]}, line {places[-1][1]}: " if places else "model.py: "
    return BadDefinitionError(
        f"{where}TensorFlow could not fit the model: {_gist(text)}\nA category or number outside "
        "what the model was built for is the usual cause.",
        file="model.py",
        line=int(places[-1][1]) if places else None,
    )


def _gist(text: str) -> str:
    """The line of TensorFlow's page-long message that says what was wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("File ", "Detected at", "Traceback"))]
    telling = [line for line in told if re.search(r"indices|shape|dtype|incompatible|must", line)]
    return (telling or told or lines or ["no reason given"])[0][:500]
