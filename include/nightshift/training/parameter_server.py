"""Steps that are handed out to workers, which send gradients to parameter servers at once.

The chief reads the batches and schedules each of them once: every row is learned from exactly once
per epoch, whichever worker takes it. Workers do not wait for each other, so the order of updates,
and with it the last digits of the result, is the machine's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from nightshift.training.dataset import Batches
from nightshift.training.engine import Inputs, Learner
from nightshift.training.loop import Told

if TYPE_CHECKING:
    from nightshift.training.checkpoint import State

MOST_SCHEDULED = 256
"""Batches that are handed out between two looks at the loss; they are in memory meanwhile."""


class ParameterServerEngine:
    """Hands batches to workers.

    Args:
        learner: The model and all that fits it, made in the strategy's scope.
        batches: Whole global batches.
        strategy: Of the chief's process.
    """

    def __init__(
        self, learner: Learner, batches: Batches, strategy: tf.distribute.ParameterServerStrategy
    ) -> None:
        self.model, self._learner, self._strategy = learner.model, learner, strategy
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
        self._iterator = iter(batches.dataset)
        inputs, labels = batches.dataset.element_spec
        self._learn = tf.function(
            self._on_worker, autograph=False, input_signature=[inputs, labels]
        )
        self.computed = 0
        """Steps computed so far."""

    def begin_epoch(self) -> None:
        """Forget the metrics of the epoch before."""
        self._learner.begin_epoch()

    def advance(self, first: int, most: int) -> tuple[int, Told]:
        """Have the next batches learned, and wait until all are."""
        count = min(most, MOST_SCHEDULED)
        for _ in range(count):
            self._coordinator.schedule(self._learn, args=next(self._iterator))
        self._coordinator.join()
        self.computed += count
        values = {metric.name: float(metric.result()) for metric in self._learner.metrics}
        states = [variable.numpy() for variable in self._learner.metric_variables]
        return count, Told(values, states)

    def restore(self, state: State) -> None:
        """Take over model, optimizer and metrics of a checkpoint."""
        self._learner.restore(state)

    def model_values(self) -> list[np.ndarray]:
        """The model's variables as they are now."""
        return [variable.numpy() for variable in self.model.variables]

    def optimizer_values(self) -> list[np.ndarray]:
        """The optimizer's variables, its count of steps included."""
        return [variable.numpy() for variable in self._learner.optimizer.variables]

    def _on_worker(self, inputs: Inputs, labels: tf.Tensor) -> Any:
        def learn(inputs: Inputs, labels: tf.Tensor) -> None:
            self._learner.learn(inputs, labels, tf.shape(labels, tf.int64)[0], 1)

        self._strategy.run(learn, args=(inputs, labels))
