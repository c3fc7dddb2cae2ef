"""The train part of a window, kept in memory where it is small, else streamed in every epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.data.pinned import PinnedFile, Snapshot, Split
from nightshift.data.stream import FileStream
from nightshift.definition.training import Training
from nightshift.training.examples import (
    ExampleReader,
    Examples,
    concatenate,
    first_rows,
    no_rows,
)
from nightshift.training.features import FeatureStatistics, compute_statistics
from nightshift.training.keep import cells_of, fits_in_memory
from nightshift.training.order import Order, Position, Share, pool_rows_of

if TYPE_CHECKING:
    import pyarrow as pa

    from nightshift.training.dataset import Batches


@dataclass(frozen=True)
class TrainRows:
    """The train part as one process reads it.

    Attributes:
        reader: How its files are read.
        files: Its files, in the snapshot's order.
        stream: Gives their local copies.
        file_rows: Rows with a label in each file.
        examples: All rows; None where they are streamed.
    """

    reader: ExampleReader
    files: Sequence[PinnedFile]
    stream: FileStream
    file_rows: tuple[int, ...]
    examples: Examples | None

    @property
    def count(self) -> int:
        """Rows with a label."""
        return sum(self.file_rows)

    def order(self, training: Training) -> Order:
        """The order in which training goes through them."""
        return Order(
            self.file_rows,
            training.global_batch_size,
            training.seed,
            pool_rows_of(self.reader.features),
        )

    def batches(
        self,
        training: Training,
        *,
        epochs: int | None = None,
        share: Share | None = None,
        start: Position | None = None,
    ) -> Batches:
        """The batches of all epochs.

        Args:
            training: Batch size, seed and number of epochs.
            epochs: Another number of epochs.
            share: What this process takes of each batch; all by default.
            start: Where a job that was killed goes on.
        """
        from nightshift.training.dataset import from_files, from_memory

        order = self.order(training)
        end, part, first = epochs or training.epochs, share or Share(), start or Position()
        if self.examples is not None:
            return from_memory(self.examples, order, epochs=end, share=part, start=first)
        return from_files(self.reader, self._copies, order, epochs=end, share=part, start=first)

    def sample(self, rows: int) -> Examples:
        """A few rows to look at: from the whole part where it is in memory, else its beginning."""
        if self.examples is not None:
            return self.examples.every(max(1, len(self.examples) // rows), rows)
        first = next(number for number, count in enumerate(self.file_rows) if count)
        kept, _ = first_rows(self.reader.batches(self._copies([first])), rows)
        return self.reader.examples(concatenate(kept))

    def _copies(self, numbers: Sequence[int]) -> Iterable[tuple[PinnedFile, Path]]:
        return self.stream.read([self.files[n] for n in numbers])


def survey(
    snapshot: Snapshot, reader: ExampleReader, folder: Path
) -> tuple[TrainRows, Mapping[str, FeatureStatistics]]:
    """Read the train part once: its statistics, and its rows where they fit in memory.

    Raises:
        BadDataError: A file's rows are not what the definition says, or there is not one row.
    """
    files = snapshot.split(Split.TRAIN)
    stream = FileStream(snapshot, folder)
    counts = [0] * len(files)
    batches = _counted(reader, stream, files, counts)
    if _fits(snapshot, reader, processes=1):
        whole = concatenate(batches)
        statistics = compute_statistics([whole], reader.features)
        return _rows(reader, files, stream, counts, reader.examples(whole)), statistics
    statistics = compute_statistics(batches, reader.features)
    if not sum(counts):
        raise no_rows()
    return _rows(reader, files, stream, counts, None), statistics


def reopen(
    snapshot: Snapshot,
    reader: ExampleReader,
    folder: Path,
    file_rows: Sequence[int],
    processes: int = 1,
) -> TrainRows:
    """The train part once more, in a process that was told its rows.

    Args:
        snapshot: The night's.
        reader: How its files are read.
        folder: Where copies lie.
        file_rows: Rows with a label in each file, from :func:`survey`.
        processes: How many do so, perhaps on one machine: they share the memory of one.
    """
    files = snapshot.split(Split.TRAIN)
    stream = FileStream(snapshot, folder)
    examples = None
    if _fits(snapshot, reader, processes):
        examples = reader.examples(concatenate(reader.batches(stream.read(files))))
    return _rows(reader, files, stream, file_rows, examples)


def _rows(
    reader: ExampleReader,
    files: Sequence[PinnedFile],
    stream: FileStream,
    counts: Sequence[int],
    examples: Examples | None,
) -> TrainRows:
    return TrainRows(reader, files, stream, tuple(counts), examples)


def _counted(
    reader: ExampleReader, stream: FileStream, files: Sequence[PinnedFile], counts: list[int]
) -> Iterator[pa.RecordBatch]:
    for number, copied in enumerate(stream.read(files)):
        for batch in reader.batches([copied]):
            counts[number] += batch.num_rows
            yield batch


def _fits(snapshot: Snapshot, reader: ExampleReader, processes: int) -> bool:
    return fits_in_memory(snapshot.rows(Split.TRAIN) * processes, cells_of(reader))
