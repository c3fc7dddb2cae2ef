"""The loop that every strategy shares: epochs, their lines in the log, checkpoints, the end.

What differs between strategies, how a number of steps is computed, is behind :class:`Engine`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import tf_keras

from nightshift.definition.training import Training
from nightshift.errors import BadDefinitionError
from nightshift.training.history import Epoch, stops_early
from nightshift.training.order import Position
from nightshift.training.profiled import steps_at_once

if TYPE_CHECKING:
    from nightshift.training.checkpoint import CheckpointWriter, State


@dataclass(frozen=True)
class Told:
    """What an engine tells after some steps.

    Attributes:
        values: Metrics over the epoch so far, by name.
        states: The metrics' variables, from which an epoch can be gone on with.
    """

    values: Mapping[str, float]
    states: list[np.ndarray]


class Engine(Protocol):
    """Computes steps; every process of a job has one, and all are asked for the same."""

    model: tf_keras.Model

    def begin_epoch(self) -> None:
        """Forget the metrics of the epoch before."""

    def advance(self, first: int, most: int) -> tuple[int, Told]:
        """Compute steps of an epoch.

        Args:
            first: Steps of the epoch that are complete.
            most: Steps that are left in it.

        Returns:
            How many were computed (the same in every process), and the metrics.
        """

    def restore(self, state: State) -> None:
        """Take over model, optimizer and metrics of a checkpoint."""

    def model_values(self) -> list[np.ndarray]:
        """The model's variables, in their order."""

    def optimizer_values(self) -> list[np.ndarray]:
        """The optimizer's variables, its count of steps included."""


class Loop:
    """Trains to the end.

    Args:
        engine: Computes the steps.
        steps: Steps in one epoch.
        training: Epochs, early stopping, and what an error should name.
        log: Gets one line per epoch.
        writer: Writes checkpoints; only the chief has one.
        callbacks: Keras callbacks. Of batches they hear of the last of those computed at once.
        on_progress: Told where training is, whenever Python looks.
    """

    def __init__(
        self,
        engine: Engine,
        steps: int,
        training: Training,
        log: logging.Logger,
        *,
        writer: CheckpointWriter | None = None,
        callbacks: Sequence[tf_keras.callbacks.Callback] = (),
        on_progress: Callable[[Position], None] | None = None,
    ) -> None:
        self.engine, self.steps, self.training, self.log = engine, steps, training, log
        self.writer, self.on_progress = writer, on_progress
        self.callbacks = tf_keras.callbacks.CallbackList(
            list(callbacks), model=engine.model, epochs=training.epochs, steps=steps, verbose=0
        )
        self.position = Position()
        self.history: list[Epoch] = []
        self._seconds_before = 0.0

    def run(self, resume: State | None = None) -> tuple[Epoch, ...]:
        """Train from the beginning or from a checkpoint; returns how each epoch ended.

        Raises:
            BadDefinitionError: The loss became NaN or infinite.
        """
        if resume:
            self.position, self.history = resume.position, list(resume.history)
            self._seconds_before = resume.seconds
            self.engine.restore(resume)
            self.log.info("Resumed after epoch %d, step %d", resume.position.epoch, self._step)
        self.callbacks.on_train_begin()
        while not self.over:
            self._epoch()
        self.callbacks.on_train_end()
        return tuple(self.history)

    @property
    def over(self) -> bool:
        """Whether nothing is left to train."""
        rule = self.training.early_stopping
        return self.position.epoch >= self.training.epochs or (
            self._step == 0 and stops_early(self.history, rule)
        )

    @property
    def _step(self) -> int:
        return self.position.step

    def _epoch(self) -> None:
        started = time.monotonic() - self._seconds_before
        self._seconds_before = 0.0
        number = self.position.epoch
        if self._step == 0:
            self.engine.begin_epoch()
        self.callbacks.on_epoch_begin(number)
        while self._step < self.steps:
            told = self._advance()
            if self._step < self.steps and self.writer and self.writer.due(self.position):
                self.writer.save(self._state(told, time.monotonic() - started))
        done = Epoch.of(number + 1, told.values, time.monotonic() - started)
        self.history.append(done)
        self.position = Position(number + 1)
        if self.writer and (self.writer.due(self.position) or self.over):
            self.writer.save(self._state(told, 0.0), last=self.over)
        self.log.info("epoch %d/%d %s", done.number, self.training.epochs, done)
        self.callbacks.on_epoch_end(number, dict(told.values))

    def _advance(self) -> Told:
        self.callbacks.on_train_batch_begin(self._step)
        most = steps_at_once(self.position, self.steps, profile=self.training.profile)
        count, told = self.engine.advance(self._step, most)
        self._refuse_divergence(told.values["loss"], self._step + count)
        self.callbacks.on_train_batch_end(self._step + count - 1, dict(told.values))
        self.position = Position(self.position.epoch, self._step + count)
        if self.on_progress:
            self.on_progress(self.position)
        return told

    def _state(self, told: Told, seconds: float) -> State:
        from nightshift.training.checkpoint import State

        return State(
            position=self.position,
            history=tuple(self.history),
            seconds=seconds,
            model=self.engine.model_values(),
            optimizer=self.engine.optimizer_values(),
            metrics=told.states,
        )

    def _refuse_divergence(self, loss: float, batch: int) -> None:
        if math.isfinite(loss):
            return
        raise BadDefinitionError(
            f"Training stopped in epoch {self.position.epoch + 1} of {self.training.epochs}, by "
            f"batch {batch}: the loss is {loss}, it must be a finite number. Every feature is "
            "finite, so the model diverged: lower training.learning_rate (now "
            f"{self.training.learning_rate:g}), or look in model.py for a division, logarithm or "
            "scale that can overflow.",
            file="model.py",
            epoch=self.position.epoch + 1,
            value=str(loss),
        )
