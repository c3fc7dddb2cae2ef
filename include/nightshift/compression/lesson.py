"""What a variant is fitted further on: the train part of the snapshot, shuffled by the seed."""

from __future__ import annotations

from pathlib import Path

from nightshift.compression.finetune import Lesson
from nightshift.data.pinned import Snapshot
from nightshift.definition.training import Training
from nightshift.training.examples import ExampleReader
from nightshift.training.objective import loss_of
from nightshift.training.rows import survey


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
    rows, _ = survey(snapshot, reader, folder)
    batches = rows.batches(training, epochs=epochs)
    return Lesson(batches.dataset, batches.steps, loss_of(reader.label), training.learning_rate)
