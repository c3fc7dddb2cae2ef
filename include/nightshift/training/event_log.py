"""What training shows in TensorBoard, from the first epoch on.

Per epoch: loss, metrics, learning rate, norm of the gradient (whole and per variable), histograms
of weights and gradients; once the model's graph, and a profile of a few steps. Looking changes
nothing: gradients are those of one batch in inference mode, so nothing is drawn at random and no
moving average moves, and they are taken by the process that trains, between two epochs.

Written with TensorBoard's own protocol buffers from NumPy: TensorFlow's summary operations take
some milliseconds each, and an epoch of a night takes less than half a second.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from nightshift.training.event_upload import EPOCHS_FILE
from nightshift.training.profiled import profiled_steps

MOST_VALUES = 100_000
"""Of one variable that a histogram counts; of a larger one evenly spaced ones."""
MOST_GRAPH_BYTES = 16 * 2**20
"""Of a graph that is written; the page takes minutes over a larger one."""

LOG = logging.getLogger("nightshift.step")

Batch = tuple[Mapping[str, Any], Any]


class EventLog(tf_keras.callbacks.Callback):
    """Writes one training's events into a folder.

    Args:
        folder: Where TensorBoard's files go; what an earlier attempt left there is gone on with.
        batch: Inputs and labels to take gradients of; None: neither gradients nor a graph.
        loss: What training minimises.
        profile: Record a profile of a few steps of the first epoch.
        publish: Told whenever there is something new in the folder.
    """

    def __init__(
        self,
        folder: Path,
        batch: Batch | None,
        loss: tf_keras.losses.Loss,
        *,
        profile: bool = True,
        publish: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.folder, self.batch, self.loss, self.publish = folder, batch, loss, publish
        self.epochs: list[dict[str, float]] = _earlier(folder)
        self._wanted = profile
        self._profiled = range(0)
        self._profiling = False
        self._mark: Any = None
        self._epoch = 0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Open the file; write the graph."""
        self._writer = EventFileWriter(str(self.folder))
        if self._wanted:
            self._profiled = profiled_steps(int(self.params.get("steps") or 0))
        if self.batch is not None and any(map(_own_in_each_replica, self.model.variables)):
            # To read such a variable is a sum over all workers, and only one of them asks.
            self.batch = None
        if self.batch is not None:
            self._look(self._write_graph, self.batch[0])

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remember which epoch it is."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Begin the profile at its first step."""
        if self._epoch or batch not in self._profiled:
            return
        if not self._profiling:
            self._profiling = True
            tf.profiler.experimental.start(str(self.folder))
        # By this mark the profile's pages know where a step begins.
        self._mark = tf.profiler.experimental.Trace("train", step_num=batch, _r=1)
        self._mark.__enter__()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """End the profile after its last step."""
        if self._mark:
            self._mark.__exit__(None, None, None)
            self._mark = None
        if self._profiling and batch + 1 >= self._profiled.stop:
            self._end_profile()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the epoch."""
        number = epoch + 1
        told = {"learning_rate": float(self.model.optimizer.learning_rate.numpy())}
        for name, value in (logs or {}).items():
            self._add(scalar_pb(f"epoch/{name}", float(value)), number)
        for variable in self.model.trainable_variables:
            self._histogram(f"weights/{_name(variable)}", variable.numpy(), number)
        if self.batch is not None:
            norm = self._look(self._write_gradients, self.batch, number)
            told |= {} if norm is None else {"gradient_norm": norm}
        for name, value in told.items():
            self._add(scalar_pb(f"epoch/{name}", value), number)
        self.epochs.append({"number": number, **told})
        (self.folder / EPOCHS_FILE).write_text(json.dumps(self.epochs, indent=1))
        self._writer.flush()
        self.publish()

    def close(self) -> None:
        """End what is open; may be called at any time."""
        if self._profiling:
            self._end_profile()
        if hasattr(self, "_writer"):
            self._writer.close()

    def _end_profile(self) -> None:
        self._profiling, self._profiled = False, range(0)
        tf.profiler.experimental.stop()

    def _look(self, write: Callable[..., float | None], *arguments: Any) -> float | None:
        """Write what needs the model to compute; a model that cannot is trained all the same."""
        try:
            return write(*arguments)
        except Exception as error:  # a recording never stops a training
            self.batch = None
            first = str(error).strip().partition("\n")[0]
            LOG.warning("TensorBoard gets no gradients: %s: %s", type(error).__name__, first)
            return None

    def _write_graph(self, inputs: Mapping[str, Any]) -> None:
        specs = {n: tf.TensorSpec([None, *v.shape[1:]], v.dtype) for n, v in inputs.items()}
        function = tf.function(lambda given: self.model(given, training=False), autograph=False)
        graph = function.get_concrete_function(specs).graph.as_graph_def().SerializeToString()
        if len(graph) <= MOST_GRAPH_BYTES:
            self._writer.add_event(Event(graph_def=graph, wall_time=time.time()))

    def _write_gradients(self, batch: Batch, number: int) -> float:
        inputs, labels = batch
        variables = [_local(variable) for variable in self.model.trainable_variables]
        with tf.GradientTape() as tape:
            losses = self.loss.call(labels, self.model(inputs, training=False))
            loss = tf.reduce_mean(losses)
        squares = 0.0
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            if gradient is None:  # the variable has no part in the loss
                continue
            # An embedding's gradient is that of the rows that the batch looked up.
            sparse = isinstance(gradient, tf.IndexedSlices)
            values = (gradient.values if sparse else gradient).numpy()
            dense = tf.convert_to_tensor(gradient).numpy() if sparse else values
            square = float(np.square(dense.astype(np.float64)).sum())
            squares += square
            self._histogram(f"gradients/{_name(variable)}", values, number)
            self._add(scalar_pb(f"gradient_norm/{_name(variable)}", square**0.5), number)
        return float(squares**0.5)

    def _histogram(self, name: str, values: np.ndarray, number: int) -> None:
        flat = values.reshape(-1)
        finite = flat[:: -(-flat.size // MOST_VALUES)] if flat.size else flat
        finite = finite[np.isfinite(finite)].astype(np.float64)
        self._add(histogram_pb(name, finite), number)

    def _add(self, summary: Summary, number: int) -> None:
        self._writer.add_event(Event(summary=summary, step=number, wall_time=time.time()))


def _earlier(folder: Path) -> list[dict[str, float]]:
    try:
        earlier: list[dict[str, float]] = json.loads((folder / EPOCHS_FILE).read_text())
    except FileNotFoundError:
        return []
    return earlier


def _name(variable: Any) -> str:
    """A variable's name as a tag: without TensorFlow's ``:0``."""
    return re.sub(r":\d+$", "", variable.name)


def _local(variable: Any) -> Any:
    """This process's copy of a variable that a strategy has copied; only copies have gradients."""
    return variable.values[0] if hasattr(variable, "values") else variable


def _own_in_each_replica(variable: Any) -> bool:
    """Whether it is one such as a BatchNormalization's moving mean under a strategy."""
    return hasattr(variable, "values") and (
        variable.synchronization is tf.VariableSynchronization.ON_READ
    )
