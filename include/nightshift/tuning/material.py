"""What every trial of a search has in common, read once: rows to fit on, later rows to judge by.

The snapshot's train days are cut in two by date, so that trials are compared on days after those
they were fitted on, as a night's holdout lies after its train days. The holdout itself is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nightshift.data.pinned import Snapshot, Split
from nightshift.data.stream import FileStream
from nightshift.errors import BadDefinitionError
from nightshift.training.examples import ExampleReader, Examples, concatenate
from nightshift.training.features import FeatureStatistics
from nightshift.training.rows import TrainRows, survey


@dataclass(frozen=True)
class Material:
    """Attributes:
    rows: Of the days that are fitted on.
    statistics: Of those days alone.
    validation: Rows of the last days.
    """

    rows: TrainRows
    statistics: Mapping[str, FeatureStatistics]
    validation: Examples

    def in_another_process(self) -> Material:
        """The same for a forked process: connections to the lake are not shared."""
        return replace(self, rows=replace(self.rows, stream=self.rows.stream.again()))


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
    """Read both parts (raises BadDataError as training does)."""
    halves = parted(snapshot, share)
    rows, statistics = survey(halves, reader, work / "train")
    later = FileStream(halves, work / "validation").read(halves.split(Split.HOLDOUT))
    return Material(rows, statistics, reader.examples(concatenate(reader.batches(later))))
