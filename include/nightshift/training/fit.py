"""Fit a model in this process: seeded, traced once, stopped by a loss of NaN."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import tensorflow as tf
import tf_keras

from nightshift.definition.model import Label
from nightshift.definition.training import Training
from nightshift.errors import BadDefinitionError
from nightshift.training.dataset import Batches
from nightshift.training.engine import GraphEngine, Learner
from nightshift.training.history import Epoch
from nightshift.training.loop import Loop
from nightshift.training.schedule import rate_of

if TYPE_CHECKING:
    from nightshift.training.checkpoint import CheckpointWriter, State


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
    strategy: tf.distribute.Strategy | None = None,
    writer: CheckpointWriter | None = None,
    resume: State | None = None,
    callbacks: Sequence[tf_keras.callbacks.Callback] = (),
) -> tuple[Epoch, ...]:
    """Fit ``model`` in place.

    Args:
        model: From model.py, built in the strategy's scope; whatever it was compiled with is
            replaced.
        batches: All batches from where training starts.
        training: Epochs, learning rate and early stopping.
        label: Chooses loss and metrics.
        log: Gets one line per epoch.
        strategy: Devices of this process; None: one.
        writer: Writes checkpoints.
        resume: The checkpoint to start from; ``batches`` start there too.
        callbacks: Keras callbacks.

    Returns:
        How each epoch ended, those before the checkpoint included.

    Raises:
        BadDefinitionError: The loss became NaN or infinite, or TensorFlow refused the model's
            own operations.
    """
    with refusals(), scope_of(strategy):
        learner = Learner(model, label, rate_of(training, batches.steps))
    engine = GraphEngine(learner, batches, strategy)
    loop = Loop(engine, batches.steps, training, log, writer=writer, callbacks=callbacks)
    with refusals():
        return loop.run(resume)


@contextmanager
def scope_of(strategy: tf.distribute.Strategy | None) -> Iterator[None]:
    """The scope in which models for a strategy are made; none where there is none."""
    if strategy is None:
        yield
    else:
        with strategy.scope():
            yield


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what TensorFlow says of a model's own operations into an error that names the line."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
        raise _refused(error) from error


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
