"""Steps as graphs: alone, on several devices of this process, or in step with other processes.

Every replica takes its share of each global batch and adds up its rows' losses, divided by the
rows of the *global* batch; gradients are added up over all replicas. So the update is that of the
whole batch however unevenly it is cut, up to the order in which float32 numbers are added: within
a replica, then between replicas, instead of over the whole batch at once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tf_keras

from nightshift.definition.model import Label
from nightshift.training.dataset import Batches
from nightshift.training.loop import Told
from nightshift.training.objective import loss_of, metrics_of
from nightshift.training.order import Share
from nightshift.training.schedule import Rate

if TYPE_CHECKING:
    from nightshift.training.checkpoint import State

Inputs = dict[str, tf.Tensor]

LONGEST_EXECUTION = 1000
"""Most steps that TensorFlow computes between two looks of Python at the loss and at signals."""
EXECUTION_SECONDS = 5.0
"""About how long it computes, once it is known how long a step takes."""


class Learner:
    """The model with its loss, optimizer and metrics: one replica's part of a step.

    Make it inside the strategy's scope, with the model.

    Args:
        model: From model.py; whatever it was compiled with is replaced.
        label: Chooses loss and metrics.
        learning_rate: Adam's, or how it changes with the steps.
    """

    def __init__(self, model: tf_keras.Model, label: Label, learning_rate: Rate) -> None:
        self.model = model
        self._loss = loss_of(label)
        self.optimizer = tf_keras.optimizers.Adam(learning_rate)
        model.compile(optimizer=self.optimizer)
        # Slots made now: a function that makes variables when first traced is traced once more.
        self.optimizer.build(model.trainable_variables)
        # In float64: a sum over millions of rows must not depend on who added which of them.
        self._mean = tf_keras.metrics.Mean(name="loss", dtype="float64")
        self.metrics: list[tf_keras.metrics.Metric] = [self._mean, *metrics_of(label)]

    def learn(self, inputs: Inputs, labels: tf.Tensor, rows: tf.Tensor, replicas: int) -> None:
        """Update the model and the metrics by one replica's share of a global batch.

        Args:
            inputs: The share's.
            labels: The share's.
            rows: Of the whole global batch.
            replicas: That share it.
        """
        counted = None
        if replicas > 1:
            inputs, labels, counted = _never_empty(inputs, labels)
        with tf.GradientTape() as tape:
            predicted = self.model(inputs, training=True)
            # One number per row; Keras' own reduction would weigh each replica's mean alike.
            losses = self._loss.call(labels, predicted)
            if counted is not None:
                losses *= counted
            penalty = tf.add_n(self.model.losses) if self.model.losses else tf.constant(0.0)
            share = tf.reduce_sum(losses) / tf.cast(rows, losses.dtype) + penalty / replicas
        weights = self.model.trainable_variables
        gradients = tape.gradient(share, weights)
        if replicas > 1:
            # An embedding's gradient is a list of rows, as long as the share, and lists of several
            # lengths cannot be gathered: added up as a whole table they can.
            gradients = [g if g is None else tf.convert_to_tensor(g) for g in gradients]
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        self._mean.update_state(losses + penalty, sample_weight=counted)
        for metric in self.metrics[1:]:
            metric.update_state(labels, predicted, sample_weight=counted)

    def begin_epoch(self) -> None:
        """Forget the metrics of the epoch before."""
        for metric in self.metrics:
            metric.reset_state()

    @property
    def metric_variables(self) -> list[Any]:
        """The metrics' variables, in their order."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def restore(self, state: State) -> None:
        """Take over model, optimizer and metrics of a checkpoint."""
        _assign(self.model.variables, state.model)
        _assign(self.optimizer.variables, state.optimizer)
        _assign(self.metric_variables, state.metrics)


class GraphEngine:
    """Computes many steps as one graph.

    Args:
        learner: The model and all that fits it.
        batches: What this process takes of each global batch.
        strategy: None: one device, one process.
        processes: How many compute in step.
    """

    def __init__(
        self,
        learner: Learner,
        batches: Batches,
        strategy: tf.distribute.Strategy | None = None,
        processes: int = 1,
    ) -> None:
        self.model, self._learner = learner.model, learner
        self._strategy = strategy
        self._replicas = strategy.num_replicas_in_sync if strategy else 1
        self._local = self._replicas // processes
        self._iterator = iter(batches.dataset)
        self._batch = tf.constant(batches.order.batch_size, tf.int64)
        self._rows = tf.constant(batches.order.rows, tf.int64)
        self.computed = tf.Variable(0, dtype=tf.int64, trainable=False)
        """Steps computed by this process: another thread may look while a graph runs."""
        self._run = tf.function(self._graph, autograph=False)
        self._wish = self._agreed = 1
        # Of these each replica has its own value: only all together can read them.
        self._synced = [v for v in self.model.variables if _own_in_each_replica(v)]
        self._synced_values: list[np.ndarray] = []

    def begin_epoch(self) -> None:
        """Forget the metrics of the epoch before."""
        self._learner.begin_epoch()

    def advance(self, first: int, most: int) -> tuple[int, Told]:
        """Compute steps: as many as take about ``EXECUTION_SECONDS``, the same in all processes."""
        count, started = min(self._agreed, most), time.monotonic()
        values, states, synced, agreed = self._run(
            self._iterator, *(tf.constant(n, tf.int64) for n in (first, count, self._wish))
        )
        told = Told({n: float(v) for n, v in values.items()}, [s.numpy() for s in states])
        self._synced_values = [value.numpy() for value in synced]
        pace = (time.monotonic() - started) / count
        self._wish = max(1, min(LONGEST_EXECUTION, int(EXECUTION_SECONDS / pace)))
        self._agreed = int(agreed) if self._replicas > self._local else self._wish
        return count, told

    def restore(self, state: State) -> None:
        """Take over model, optimizer and metrics of a checkpoint."""
        self._learner.restore(state)

    def model_values(self) -> list[np.ndarray]:
        """The model's variables as they were after the last step."""
        synced = {id(v): value for v, value in zip(self._synced, self._synced_values, strict=True)}
        return [synced[id(v)] if id(v) in synced else v.numpy() for v in self.model.variables]

    def optimizer_values(self) -> list[np.ndarray]:
        """The optimizer's variables, its count of steps included."""
        return [variable.numpy() for variable in self._learner.optimizer.variables]

    def _graph(
        self, iterator: Any, first: tf.Tensor, count: tf.Tensor, wish: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], list[tf.Tensor], list[tf.Tensor], tf.Tensor]:
        # Keras' own loop over ``steps_per_execution`` traces the step twice, because its result is
        # not defined before the loop; here the results are read from the metrics after it.
        def step(number: tf.Tensor) -> tuple[tf.Tensor]:
            inputs, labels = next(iterator)
            rows = tf.minimum(self._batch, self._rows - number * self._batch)
            self._everywhere(inputs, labels, rows)
            self.computed.assign_add(1)
            return (number + 1,)

        tf.while_loop(lambda number: number < first + count, step, (first,))
        values = {metric.name: metric.result() for metric in self._learner.metrics}
        states = [tf.identity(variable) for variable in self._learner.metric_variables]
        synced = [tf.identity(variable) for variable in self._synced]
        return values, states, synced, self._agree(wish)

    def _everywhere(self, inputs: Inputs, labels: tf.Tensor, rows: tf.Tensor) -> None:
        if self._strategy is None:
            self._learner.learn(inputs, labels, rows, 1)
        else:
            self._strategy.run(self._in_replica, args=(inputs, labels, rows))

    def _in_replica(self, inputs: Inputs, labels: tf.Tensor, rows: tf.Tensor) -> None:
        context = tf.distribute.get_replica_context()
        share = Share(context.replica_id_in_sync_group % self._local, self._local)
        with tf.device("CPU:0"):  # only its own rows reach a replica's device
            low, high = share.bounds(tf.shape(labels)[0])
            inputs = {name: values[low:high] for name, values in inputs.items()}
            labels = labels[low:high]
        self._learner.learn(inputs, labels, rows, self._replicas)

    def _agree(self, wish: tf.Tensor) -> tf.Tensor:
        """The mean of what all processes wish, the same number in each."""
        if self._replicas == self._local or self._strategy is None:
            return wish
        total = self._strategy.reduce("SUM", self._strategy.run(tf.identity, args=(wish,)), None)
        return total // self._replicas


def _never_empty(inputs: Inputs, labels: tf.Tensor) -> tuple[Inputs, tf.Tensor, tf.Tensor]:
    """A share with at least one row, and how much each row counts, float32 [rows].

    The last batch of an epoch can have fewer rows than there are replicas. A replica without one
    gets a row of zeros that counts nothing, for a mean over no rows is no number.
    """
    missing = tf.cast(tf.shape(labels)[0] == 0, tf.int32)

    def filled(values: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([[missing], tf.shape(values)[1:]], 0)
        return tf.concat([values, tf.zeros(shape, values.dtype)], 0)

    counted = tf.concat([tf.ones_like(labels[:, 0]), tf.zeros([missing])], 0)
    return {name: filled(values) for name, values in inputs.items()}, filled(labels), counted


def _own_in_each_replica(variable: Any) -> bool:
    """Whether it is one such as a BatchNormalization's moving mean, averaged when read."""
    return (
        tf.distribute.has_strategy() or hasattr(variable, "values")
    ) and variable.synchronization is tf.VariableSynchronization.ON_READ


def _assign(variables: list[Any], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
