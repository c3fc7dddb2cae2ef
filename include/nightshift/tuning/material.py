"""What every trial of a search has in common, read once: rows to fit on, later rows to judge by.

The snapshot's train days are cut in two by date, so that trials are compared on days after those
they were fitted on, as a night's holdout lies after its train days. The holdout itself is not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.data.pinned import PinnedFile, Snapshot, Split
from nightshift.data.reader import download
from nightshift.errors import BadDefinitionError
from nightshift.training.examples import ExampleReader, Examples, concatenate
from nightshift.training.features import FeatureStatistics, compute_statistics
from nightshift.training.keep import cells_of, fits_in_memory

if TYPE_CHECKING:
    from nightshift.definition.training import Training
    from nightshift.training.dataset import Batches


@dataclass(frozen=True)
class Material:
    """Attributes:
    reader: How rows are read.
    files: Of the days that are fitted on.
    rows: Rows with a label on those days.
    examples: All those rows; None where they are streamed.
    statistics: Of those days alone.
    validation: Rows of the last days.
    """

    reader: ExampleReader
    files: Sequence[tuple[PinnedFile, Path]]
    rows: int
    examples: Examples | None
    statistics: Mapping[str, FeatureStatistics]
    validation: Examples

    def batches(self, training: Training) -> Batches:
        """The rows to fit on, in the order that training has."""
        from nightshift.training.dataset import from_files, from_memory

        how = {
            "batch_size": training.global_batch_size,
            "epochs": training.epochs,
            "seed": training.seed,
        }
        if self.examples is not None:
            return from_memory(self.examples, **how)
        return from_files(self.reader, self.files, self.rows, **how)


def parted(snapshot: Snapshot, share: float) -> Snapshot:
    """The snapshot with its train days alone, the last of them held out instead of the holdout.

    Args:
        snapshot: The night's.
        share: Of the days to judge by; at least one day is.

    Raises:
        BadDefinitionError: There is only one train day.
    """
    files = snapshot.split(Split.TRAIN)
    days = sorted({file.date for file in files})
    last = max(1, round(len(days) * share))
    if last >= len(days):
        raise BadDefinitionError(
            f"{snapshot.pipeline}: {len(days)} train days leave none to fit on when "
            f"tuning.validation_share ({share:g}) takes {last}. Widen window.days, or lower the "
            "share."
        )
    first = days[-last]
    kept = (
        file.model_copy(update={"split": Split.HOLDOUT if file.date >= first else Split.TRAIN})
        for file in files
    )
    return snapshot.model_copy(update={"files": tuple(kept)})


def read_material(snapshot: Snapshot, reader: ExampleReader, share: float, work: Path) -> Material:
    """Download and read both parts (raises BadDataError as training does)."""
    halves = parted(snapshot, share)
    files = download(halves, Split.TRAIN, work / "train")
    later = download(halves, Split.HOLDOUT, work / "validation")
    validation = reader.examples(concatenate(reader.batches(later)))
    if fits_in_memory(halves.rows(Split.TRAIN), cells_of(reader)):
        batch = concatenate(reader.batches(files))
        statistics = compute_statistics([batch], reader.features)
        return Material(reader, files, len(batch), reader.examples(batch), statistics, validation)
    statistics = compute_statistics(reader.batches(files), reader.features)
    one = next(iter(statistics.values()))
    return Material(reader, files, one.count + one.missing, None, statistics, validation)
