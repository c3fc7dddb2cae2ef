"""One trial in a process of its own, forked from one that imported TensorFlow and ran nothing.

So a search imports TensorFlow once, and its rows lie in memory once. Trial and search talk over a
pipe: after each epoch the trial tells its validation loss and is told whether to go on.
"""

from __future__ import annotations

import logging
import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.definition.training import Training
from nightshift.errors import ErrorKind, NightshiftError, StepError
from nightshift.steps.lifeline import die_with_parent
from nightshift.tuning.material import Material

if TYPE_CHECKING:
    import tf_keras

_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Judged:
    """What a trial tells: the mean validation loss (cross-entropy, nats) after an epoch."""

    epoch: int
    """From 1."""
    loss: float


class Pruned(Exception):  # noqa: N818 - an end like others, not an error
    """The search does not want the trial to go on."""


def run_trial(
    material: Material, training: Training, folder: Path, threads: int, pipe: Connection
) -> None:
    """Fit a model, telling of each epoch; the last thing told is a :class:`StepError` or None.

    Runs in the trial's own process and never raises.

    Args:
        material: Rows to fit on and to judge by.
        training: With the trial's parameters.
        folder: The pipeline's.
        threads: Cores that the trial may use.
        pipe: To the search, which answers every :class:`Judged` with whether to go on.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the search's handler ends the whole group
    die_with_parent()
    try:
        _fit(material, training, folder, threads, pipe)
        pipe.send(None)
    except Pruned:
        pipe.send(None)
    except (BrokenPipeError, EOFError):
        os._exit(1)  # the search is gone
    except NightshiftError as error:
        pipe.send(StepError(kind=error.kind, message=error.message, facts=error.facts))
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        pipe.send(StepError(kind=ErrorKind.DEFECT, message=text[-2000:]))


def _fit(
    material: Material, training: Training, folder: Path, threads: int, pipe: Connection
) -> None:
    import tensorflow as tf

    from nightshift.training.fit import fit, seed_everything
    from nightshift.training.model_file import build_model

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    seed_everything(training.seed)
    label = material.rows.reader.label
    model = build_model(folder, material.statistics, training.parameters, len(label.classes))
    silent = logging.getLogger("nightshift.trial")
    silent.setLevel(logging.ERROR)
    judge = _judge(material, pipe)
    rows = material.in_another_process().rows
    fit(model, rows.batches(training), training, label, silent, callbacks=[judge])


def _judge(material: Material, pipe: Connection) -> tf_keras.callbacks.Callback:
    import tf_keras

    class Judge(tf_keras.callbacks.Callback):
        def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
            self.measure = _measure(self.model, material)

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            pipe.send(Judged(epoch + 1, self.measure()))
            if not pipe.recv():
                raise Pruned

    return Judge()


def _measure(model: tf_keras.Model, material: Material) -> Callable[[], float]:
    """A function that gives the mean loss over the rows to judge by."""
    import tensorflow as tf

    from nightshift.training.dataset import as_batch
    from nightshift.training.objective import loss_of

    loss = loss_of(material.rows.reader.label)
    rows = material.validation
    starts = range(0, len(rows), _ROWS_AT_ONCE)

    @tf.function(reduce_retracing=True)
    def total(inputs: dict[str, tf.Tensor], labels: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(loss.call(labels, model(inputs, training=False)))

    def measure() -> float:
        parts = (as_batch(rows.every(1, _ROWS_AT_ONCE, start)) for start in starts)
        return sum(float(total(inputs, labels)) for inputs, labels in parts) / len(rows)

    return measure
