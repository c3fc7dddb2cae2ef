"""Batches for ``fit``: shuffled by the seed, the same in every run, without Python per row."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from nightshift.data.pinned import PinnedFile
from nightshift.training.examples import ExampleReader, Examples
from nightshift.training.features import dtype_of

SHUFFLE_ROWS = 1_048_576
"""Rows shuffled at once where the data is streamed; files come in another order each epoch."""

Files = Sequence[tuple[PinnedFile, Path]]


@dataclass(frozen=True)
class Batches:
    """All epochs of training, one after another.

    Attributes:
        dataset: Elements ``(inputs, labels)``: a dict of [batch, 1] tensors (an image: [batch,
            height, width, channels], float32), and [batch, 1].
        steps: Batches in one epoch; the last may be smaller.
    """

    dataset: tf.data.Dataset
    steps: int


def from_memory(examples: Examples, *, batch_size: int, epochs: int, seed: int) -> Batches:
    """Batches of rows that are all in memory, in a new order each epoch."""
    rows = len(examples)
    inputs = {name: tf.constant(_column(values)) for name, values in examples.inputs.items()}
    labels = tf.constant(examples.labels)[:, None]

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(rows, dtype=tf.int64), seed=tf.stack([tf.constant(seed, tf.int64), number])
        )
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size)

    def pick(at: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        return _as_inputs({name: tf.gather(v, at) for name, v in inputs.items()}), tf.gather(
            labels, at
        )

    dataset = tf.data.Dataset.range(epochs).flat_map(epoch)
    dataset = dataset.map(pick, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return Batches(dataset.prefetch(tf.data.AUTOTUNE), _steps(rows, batch_size))


def from_files(
    reader: ExampleReader,
    files: Files,
    rows: int,
    *,
    batch_size: int,
    epochs: int,
    seed: int,
    shuffle_rows: int = SHUFFLE_ROWS,
) -> Batches:
    """Batches streamed from files in every epoch: memory holds ``shuffle_rows`` rows.

    Args:
        reader: How files are read.
        files: The train part.
        rows: Rows with a label in all files.
        batch_size: Rows in a batch.
        epochs: How often the files are read.
        seed: Makes the order.
        shuffle_rows: Rows shuffled together.
    """
    signature = (
        {
            name: tf.TensorSpec([None, *feature.shape], tf.uint8)
            if feature.shape
            else tf.TensorSpec([None, 1], dtype_of(feature.type))
            for name, feature in reader.features.items()
        },
        tf.TensorSpec([None, 1], tf.float32),
    )
    dataset = tf.data.Dataset.from_generator(
        _pools(reader, files, epochs, seed, shuffle_rows), output_signature=signature
    )
    # Epochs are cut apart again: a batch never spans two of them.
    steps = _steps(rows, batch_size)
    sizes = [batch_size] * (steps - 1) + [rows - batch_size * (steps - 1)]
    dataset = dataset.rebatch(sizes).map(
        lambda inputs, labels: (_as_inputs(inputs), labels), num_parallel_calls=tf.data.AUTOTUNE
    )
    return Batches(dataset.prefetch(tf.data.AUTOTUNE), steps)


def _column(values: np.ndarray) -> np.ndarray:
    """A feature's array as the model's input has it: [rows, 1]; images have their shape already."""
    return values[:, None] if values.ndim == 1 else values


def _as_inputs(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Pixels are kept and shuffled as bytes; only a batch at a time becomes float32."""
    return {
        name: tf.cast(values, tf.float32) if values.dtype == tf.uint8 else values
        for name, values in inputs.items()
    }


def _pools(
    reader: ExampleReader, files: Files, epochs: int, seed: int, shuffle_rows: int
) -> Callable[[], Iterator[tuple[dict[str, np.ndarray], np.ndarray]]]:
    """A generator of shuffled pools of rows; Python runs per pool, never per row."""

    def pools() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        for epoch in range(epochs):
            order = np.random.default_rng([abs(seed), epoch])
            shuffled = list(files)
            random.Random(f"{seed}/{epoch}").shuffle(shuffled)
            waiting: list[Examples] = []
            for batch in reader.batches(shuffled):
                waiting.append(reader.examples(batch))
                if sum(map(len, waiting)) >= shuffle_rows:
                    yield _shuffled(waiting, order)
                    waiting = []
            if waiting:
                yield _shuffled(waiting, order)

    return pools


def _shuffled(
    parts: list[Examples], order: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    labels = np.concatenate([part.labels for part in parts])
    at = order.permutation(len(labels))
    names = parts[0].inputs
    inputs = {n: _column(np.concatenate([part.inputs[n] for part in parts])[at]) for n in names}
    return inputs, labels[at, None]


def _steps(rows: int, batch_size: int) -> int:
    return -(-rows // batch_size)
