"""The snapshot artifact: which bytes of the lake one night reads, and against which baseline."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from nightshift.release.candidate import Candidate

SNAPSHOT_FILE = "snapshot.json"


class Split(StrEnum):
    """The two parts of a window."""

    TRAIN = "train"
    HOLDOUT = "holdout"


class PinnedFile(BaseModel):
    """One Parquet file of the lake, pinned by version and digest."""

    model_config = ConfigDict(frozen=True)

    date: date
    split: Split
    key: str
    """Object key in the lake's bucket."""
    version_id: str | None
    """The bucket's version of the object; None where the bucket keeps no versions."""
    sha256: str
    size: int
    rows: int


class Baseline(BaseModel):
    """What the night is compared with, taken once: a cleared run never meets a moved champion."""

    model_config = ConfigDict(frozen=True)

    champion: Candidate | None = None
    """The live version when the snapshot was made; None before the first release."""
    released: tuple[Candidate, ...] = ()
    """Champion and the version before it, newest first, as far as there are any."""


class Snapshot(BaseModel):
    """The content of ``snapshot.json``."""

    model_config = ConfigDict(frozen=True)

    pipeline: str
    night: date
    """The window's last day, as the lake dates its events."""
    bucket: str
    """The lake's bucket."""
    files: tuple[PinnedFile, ...]
    """In order of date, then key."""
    requests: tuple[PinnedFile, ...] = ()
    """Logged serving requests of the held-out days, as far as there are any."""
    types: dict[str, str] = {}
    """Every column of the dataset with its :class:`nightshift.data.columns.Family`."""
    baseline: Baseline = Baseline()

    def split(self, split: Split) -> tuple[PinnedFile, ...]:
        """The files of one part, in order of date."""
        return tuple(f for f in self.files if f.split is split)

    def rows(self, split: Split) -> int:
        """Rows in one part, as the Parquet footers count them."""
        return sum(f.rows for f in self.split(split))
