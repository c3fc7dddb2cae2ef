"""Batches for training: the window's rows in the order of :mod:`nightshift.training.order`.

Two ways to the same batches: from rows in memory, or streamed from the lake in every epoch. Python
runs per epoch or per pool, never per row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from nightshift.data.pinned import PinnedFile
from nightshift.training.examples import ExampleReader, Examples, concatenate
from nightshift.training.features import dtype_of
from nightshift.training.order import Order, Position, Share

if TYPE_CHECKING:
    import pyarrow as pa

ReadFiles = Callable[[Sequence[int]], Iterable[tuple[PinnedFile, Path]]]
"""Gives the train files of these numbers, in this order, with their local copies."""

ALL = Share()
START = Position()


@dataclass(frozen=True)
class Batches:
    """The rest of training's epochs, one after another.

    Attributes:
        dataset: Elements ``(inputs, labels)``: a dict of [rows, 1] tensors (an image: [rows,
            height, width, channels]) and [rows, 1], where the rows are a share of a global batch.
        order: Which rows are in which batch.
        start: The batch that the dataset begins with.
    """

    dataset: tf.data.Dataset
    order: Order
    start: Position = START

    @property
    def steps(self) -> int:
        """Batches in one epoch; the last may be smaller."""
        return self.order.steps


def as_batch(examples: Examples) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """All rows as one batch, as the model takes it: inputs by name, and labels [rows, 1]."""
    inputs = {name: tf.constant(_column(values)) for name, values in examples.inputs.items()}
    return _as_inputs(inputs), tf.constant(examples.labels)[:, None]


def from_memory(
    examples: Examples, order: Order, *, epochs: int, share: Share = ALL, start: Position = START
) -> Batches:
    """Batches of rows that are all in memory.

    Args:
        examples: All rows, in the snapshot's order of files.
        order: How they are shuffled.
        epochs: The last one's number, counted from the first epoch of all.
        share: What this process takes of each batch.
        start: Where a job that was killed goes on.
    """
    inputs = {name: tf.constant(_column(values)) for name, values in examples.inputs.items()}
    labels = tf.constant(examples.labels)[:, None]

    def indices() -> Iterator[np.ndarray]:
        for epoch in range(start.epoch, epochs):
            first = start.step * order.batch_size if epoch == start.epoch else 0
            yield order.epoch(epoch)[first:][order.taken(first, order.rows, share)]

    def pick(at: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        return _as_inputs({n: tf.gather(v, at) for n, v in inputs.items()}), tf.gather(labels, at)

    rows = tf.data.Dataset.from_generator(
        indices, output_signature=tf.TensorSpec([None], tf.int64)
    ).rebatch(_sizes(order, share, start))
    dataset = rows.map(pick, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return Batches(dataset.prefetch(tf.data.AUTOTUNE), order, start)


def from_files(
    reader: ExampleReader,
    files: ReadFiles,
    order: Order,
    *,
    epochs: int,
    share: Share = ALL,
    start: Position = START,
) -> Batches:
    """Batches streamed from files in every epoch: memory holds two pools of rows.

    Every process reads all files and keeps its share of each pool: reading a row costs a fraction
    of training on it, and only so are the global batches the same for any number of workers.

    Args:
        reader: How files are read.
        files: Gives the train part's files.
        order: How their rows are shuffled.
        epochs: The last one's number, counted from the first epoch of all.
        share: What this process takes of each batch.
        start: Where a job that was killed goes on.
    """

    def pools() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        for epoch in range(start.epoch, epochs):
            begin = start if epoch == start.epoch else Position(epoch)
            for rows in _pools(reader, files, order, begin, share):
                part = reader.examples(rows)
                inputs = {name: _column(values) for name, values in part.inputs.items()}
                yield inputs, part.labels[:, None]

    dataset = tf.data.Dataset.from_generator(pools, output_signature=_signature(reader))
    dataset = dataset.prefetch(1).rebatch(_sizes(order, share, start))
    dataset = dataset.map(lambda inputs, labels: (_as_inputs(inputs), labels))
    return Batches(dataset.prefetch(tf.data.AUTOTUNE), order, start)


def _pools(
    reader: ExampleReader, files: ReadFiles, order: Order, start: Position, share: Share
) -> Iterator[pa.RecordBatch]:
    """A share of the rest of one epoch's rows, pool by pool, in their order."""
    first = start.step * order.batch_size
    number = first // order.pool_rows
    numbers, skipped = _files_from(order, start.epoch, number * order.pool_rows)
    batches = _without_first(reader.batches(files(numbers)), skipped)
    for rows in _cut(batches, order.pool_rows):
        begin = number * order.pool_rows
        taken = order.taken(begin, begin + rows.num_rows, share)
        taken[: max(0, first - begin)] = False
        yield rows.take(_arrow(order.pool(start.epoch, number)[taken]))
        number += 1


def _without_first(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.slice(rows)
        rows = max(0, rows - batch.num_rows)


def _cut(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    """All rows in parts of ``size``; the last has what is left."""
    waiting: list[pa.RecordBatch] = []
    missing = size
    for batch in batches:
        rest = batch
        while rest.num_rows:
            waiting.append(rest.slice(0, missing))
            rest = rest.slice(waiting[-1].num_rows)
            missing -= waiting[-1].num_rows
            if not missing:
                yield concatenate(waiting)
                waiting, missing = [], size
    if waiting:
        yield concatenate(waiting)


def _files_from(order: Order, epoch: int, place: int) -> tuple[list[int], int]:
    """The epoch's files from the one that holds ``place`` on; and its rows before that place."""
    files = order.files(epoch).tolist()
    while files and place >= order.file_rows[files[0]]:
        place -= order.file_rows[files.pop(0)]
    return files, place


def _arrow(indices: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.array(indices)


def _sizes(order: Order, share: Share, start: Position) -> np.ndarray:
    # Epochs are cut apart again: a batch never spans two of them. The sizes are gone through in
    # circles, so that a later start only turns the circle.
    return np.roll(order.sizes(share), -start.step)


def _signature(reader: ExampleReader) -> tuple[dict[str, tf.TensorSpec], tf.TensorSpec]:
    specs = {
        name: tf.TensorSpec([None, *feature.shape], tf.uint8)
        if feature.shape
        else tf.TensorSpec([None, 1], dtype_of(feature.type))
        for name, feature in reader.features.items()
    }
    return specs, tf.TensorSpec([None, 1], tf.float32)


def _column(values: np.ndarray) -> np.ndarray:
    """A feature's array as the model's input has it: [rows, 1]; images have their shape already."""
    return values[:, None] if values.ndim == 1 else values


def _as_inputs(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Pixels are kept and shuffled as bytes; only a batch at a time becomes float32."""
    return {
        name: tf.cast(values, tf.float32) if values.dtype == tf.uint8 else values
        for name, values in inputs.items()
    }
