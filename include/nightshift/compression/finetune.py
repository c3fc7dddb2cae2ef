"""Fit the trained model further under pruning or clustering (tensorflow-model-optimization)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tf_keras

from nightshift.definition.compression import Recipe
from nightshift.errors import BadDefinitionError

LEARNING_RATE_SHARE = 0.1
"""Of the learning rate that the model was trained with: it is near its minimum already."""
_RAMP_SHARE = 0.7
"""Of all steps over which zeros grow to the wanted share; in the rest the others settle."""
_PRUNINGS = 50
"""How often the smallest weights are chosen anew on the way."""
_WRAPPED = (
    tf_keras.layers.Dense,
    tf_keras.layers.Conv1D,
    tf_keras.layers.Conv2D,
)


@dataclass(frozen=True)
class Lesson:
    """What is fitted on.

    Attributes:
        batches: Elements ``(inputs, labels)``, one epoch after another.
        steps: Batches in one epoch.
        loss: What is minimised.
        learning_rate: The one that the model was trained with.
    """

    batches: tf.data.Dataset
    steps: int
    loss: Any
    learning_rate: float


def finetune(
    model: tf_keras.Model, recipe: Recipe, lesson: Lesson, log: logging.Logger
) -> tf_keras.Model:
    """The model fitted further under what the recipe says, its wrappers taken off again.

    Dense and convolution kernels are changed; biases, normalisation and embeddings are not.

    Raises:
        BadDefinitionError: The model has no such layer, or its loss became NaN or infinite.
    """
    if recipe.target.pruned:
        return _pruned(model, recipe, lesson, log)
    return _clustered(model, recipe, lesson, log)


def _pruned(
    model: tf_keras.Model, recipe: Recipe, lesson: Lesson, log: logging.Logger
) -> tf_keras.Model:
    from tensorflow_model_optimization.sparsity import keras as sparsity

    assert recipe.sparsity is not None and recipe.finetune_epochs is not None
    steps = lesson.steps * recipe.finetune_epochs
    ramp = max(1, int(steps * _RAMP_SHARE))
    schedule = sparsity.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=recipe.sparsity,
        begin_step=0,
        end_step=ramp,
        frequency=max(1, ramp // _PRUNINGS),
    )
    wrapped = _wrapped(
        model, lambda layer: sparsity.prune_low_magnitude(layer, pruning_schedule=schedule), 1
    )
    _fit(wrapped, recipe, lesson, log, [sparsity.UpdatePruningStep()])
    return sparsity.strip_pruning(wrapped)


def _clustered(
    model: tf_keras.Model, recipe: Recipe, lesson: Lesson, log: logging.Logger
) -> tf_keras.Model:
    from tensorflow_model_optimization.clustering import keras as clustering

    how = {
        "number_of_clusters": recipe.clusters,
        "cluster_centroids_init": clustering.CentroidInitialization.KMEANS_PLUS_PLUS,
    }
    assert recipe.clusters is not None
    # A kernel of so few values has nothing to share.
    wrapped = _wrapped(
        model, lambda layer: clustering.cluster_weights(layer, **how), recipe.clusters
    )
    _fit(wrapped, recipe, lesson, log, [])
    return clustering.strip_clustering(wrapped)


def _wrapped(
    model: tf_keras.Model, wrap: Callable[[Any], Any], more_values_than: int
) -> tf_keras.Model:
    """The same layers, with their weights; those with a kernel of so many values in a wrapper."""
    changed: list[str] = []

    def one(layer: Any) -> Any:
        if type(layer) not in _WRAPPED or layer.kernel.shape.num_elements() <= more_values_than:
            return layer
        changed.append(layer.name)
        return wrap(layer)

    wrapped = tf_keras.models.clone_model(model, clone_function=one)
    if not changed:
        raise BadDefinitionError(
            "model.py has no Dense, Conv1D or Conv2D layer at its top level whose kernel has more "
            f"than {more_values_than} values: there is nothing to prune or cluster. Take such "
            "targets out of compression.targets.",
            file="model.py",
        )
    return wrapped


def _fit(
    model: tf_keras.Model,
    recipe: Recipe,
    lesson: Lesson,
    log: logging.Logger,
    callbacks: list[Any],
) -> None:
    rate = lesson.learning_rate * LEARNING_RATE_SHARE
    model.compile(optimizer=tf_keras.optimizers.Adam(rate), loss=lesson.loss)
    history = model.fit(
        lesson.batches,
        epochs=recipe.finetune_epochs,
        steps_per_epoch=lesson.steps,
        verbose=0,
        callbacks=callbacks,
    )
    losses = [float(loss) for loss in history.history["loss"]]
    for number, loss in enumerate(losses, start=1):
        log.info("%s: epoch %d/%d loss %.4f", recipe.target, number, len(losses), loss)
    if not all(math.isfinite(loss) for loss in losses):
        raise BadDefinitionError(
            f"The loss became {losses[-1]} while fitting for '{recipe.target}': the model diverged "
            "under it. Lower training.learning_rate, or compression.sparsity."
        )


def sparsity_of(model: tf_keras.Model) -> float:
    """Share of zeros among the kernels that pruning may change."""
    kernels = [layer.kernel.numpy() for layer in model.layers if type(layer) in _WRAPPED]
    return float(sum((k == 0).sum() for k in kernels) / sum(k.size for k in kernels))
