"""What a variant is fitted further on: the train part of the snapshot, shuffled by the seed."""

from __future__ import annotations

from pathlib import Path

from nightshift.compression.finetune import Lesson
from nightshift.data.pinned import Snapshot, Split
from nightshift.data.reader import download
from nightshift.definition.training import Training
from nightshift.training.dataset import from_files, from_memory
from nightshift.training.examples import ExampleReader, concatenate
from nightshift.training.keep import cells_of, fits_in_memory
from nightshift.training.objective import loss_of


def lesson_of(
    snapshot: Snapshot, reader: ExampleReader, training: Training, epochs: int, folder: Path
) -> Lesson:
    """Batches of the train part, as training reads it.

    Args:
        snapshot: The night's.
        reader: How its files are read.
        training: Batch size, seed and learning rate.
        epochs: How often the rows are gone through.
        folder: Where files are downloaded to.
    """
    files = download(snapshot, Split.TRAIN, folder)
    size, seed = training.global_batch_size, training.seed
    if fits_in_memory(snapshot.rows(Split.TRAIN), cells_of(reader)):
        examples = reader.examples(concatenate(reader.batches(files)))
        batches = from_memory(examples, batch_size=size, epochs=epochs, seed=seed)
    else:
        rows = sum(batch.num_rows for batch in reader.batches(files))
        batches = from_files(reader, files, rows, batch_size=size, epochs=epochs, seed=seed)
    return Lesson(batches.dataset, batches.steps, loss_of(reader.label), training.learning_rate)
