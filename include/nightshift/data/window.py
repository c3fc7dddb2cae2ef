"""A night's window in the lake: its days, its files, and what is wrong with them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import groupby
from pathlib import Path

from nightshift.data.inspection import Footer, read_footer
from nightshift.data.lake import Lake
from nightshift.data.pinned import PinnedFile, Snapshot, Split
from nightshift.data.problems import Problem, Rule
from nightshift.definition.model import Window
from nightshift.definition.partitions import Partitions
from nightshift.errors import BadDefinitionError
from nightshift.storage.s3 import AbsentError, Version

_PARALLEL = 8


@dataclass(frozen=True)
class Days:
    """A night's window: ``first`` to ``night``, of which ``holdout`` and later are held out.

    Iterating gives the days that have a partition: each one, or the last of each period.
    """

    first: date
    holdout: date
    night: date
    partitions: Partitions = Partitions.DAILY

    @classmethod
    def of(cls, window: Window, night: date, partitions: Partitions = Partitions.DAILY) -> Days:
        """The window that ends with ``night``.

        Raises:
            BadDefinitionError: No partition ends with the night, or the window would hold nothing
                but its holdout.
        """
        if night != partitions.last_day(night):
            raise BadDefinitionError(
                f"The night of {night} ends no {partitions.period}, and dataset.partitions in "
                f"pipeline.yaml is '{partitions}'. The {partitions.period}'s night is "
                f"{partitions.last_day(night)}.",
                value=night.isoformat(),
                limit=partitions.last_day(night).isoformat(),
            )
        first = night - timedelta(days=window.days - 1)
        if window.since and window.since > first:
            first = window.since
        holdout = night - timedelta(days=window.holdout_days - 1)
        days = cls(first, holdout, night, partitions)
        if next(iter(days), night) >= holdout:
            raise _nothing_to_train_on(days, window)
        return days

    def __iter__(self) -> Iterator[date]:
        return self.partitions.between(self.first, self.night)

    def split(self, day: date) -> Split:
        """The part that a day belongs to."""
        return Split.HOLDOUT if day >= self.holdout else Split.TRAIN


def _nothing_to_train_on(days: Days, window: Window) -> BadDefinitionError:
    night, period = days.night, days.partitions.period
    held_out = f"the last {window.holdout_days} day(s) are held out"
    if days.first != window.since:
        return BadDefinitionError(
            f"The night of {night} has no {period} to train on: window.days in pipeline.yaml is "
            f"{window.days}, and {held_out}. Widen window.days.",
            value=window.days,
        )
    oldest = days.partitions.last_day(days.first)
    earliest = days.partitions.last_day(oldest + timedelta(window.holdout_days))
    return BadDefinitionError(
        f"The night of {night} has no {period} to train on: window.since in pipeline.yaml is "
        f"{days.first}, and {held_out}. The first night is {earliest}.",
        value=night.isoformat(),
        limit=earliest.isoformat(),
    )


@dataclass(frozen=True)
class Seen:
    """One file of the window: pinned by this snapshot, with its footer where it was read anew."""

    pin: PinnedFile
    footer: Footer | None


class WindowFiles:
    """The files that the lake has for a window, listed once."""

    def __init__(self, lake: Lake, days: Days, date_column: str) -> None:
        self.lake = lake
        self.days = days
        self.date_column = date_column

    @cached_property
    def present(self) -> Mapping[date, Sequence[Version]]:
        """Each day that has files, with their current versions."""
        return self.lake.list(self.days.first, self.days.night)

    def look(self, previous: Snapshot | None, work: Path) -> tuple[list[Seen], list[Problem]]:
        """Pin every file; those that the previous snapshot pinned are not read again.

        Args:
            previous: A snapshot checked by the same rules.
            work: Folder for copies, each removed after its look.
        """
        known = {(f.key, f.version_id): f for f in previous.files} if previous else {}

        def one(numbered: tuple[int, tuple[date, Version]]) -> Seen | Problem:
            number, (day, version) = numbered
            pin = known.get((version.key, version.version_id)) if version.version_id else None
            if pin:
                return Seen(pin.model_copy(update={"split": self.days.split(day)}), None)
            return self._read(day, version, work / f"{number}.parquet")

        files = [(day, version) for day in sorted(self.present) for version in self.present[day]]
        with ThreadPoolExecutor(_PARALLEL) as pool:
            found = list(pool.map(one, enumerate(files)))
        seen = [f for f in found if isinstance(f, Seen)]
        return seen, [f for f in found if isinstance(f, Problem)]

    def short_days(
        self, seen: Sequence[Seen], found: Sequence[Problem], minimum: int
    ) -> list[Problem]:
        """Partitions without a file, those dated with no period's last day, and those with fewer
        rows than ``minimum`` that could all be read."""
        unreadable = {p.day for p in found if p.rule is Rule.UNREADABLE}
        rows = Counter(dict.fromkeys(self.present, 0))
        for file in seen:
            rows[file.pin.date] += file.pin.rows
        problems = [*self._missing(minimum), *self._misplaced()]
        the = f"the {self.days.partitions.period}"
        for day, count in sorted(rows.items()):
            if count < minimum and day not in unreadable:
                what = f"{the} is empty: 0 rows" if not count else f"{the} has {count:,} rows"
                text = f"{what}, window.minimum_rows_per_day is {minimum:,}"
                where = self._where(day)
                problems.append(Problem(where, Rule.FEW_ROWS, text, str(count), str(minimum), day))
        return problems

    def _missing(self, minimum: int) -> Iterator[Problem]:
        """One problem for each run of days (months, years) without a file."""
        period = self.days.partitions.period
        missing = [(n, day) for n, day in enumerate(self.days) if not self.present.get(day)]
        for _, numbered in groupby(enumerate(missing), key=lambda p: p[1][0] - p[0]):
            run = [day for _, (_, day) in numbered]
            first, last = run[0], run[-1]
            span = f"the {period} {first} is missing"
            if first != last:
                span = f"{len(run)} {period}s are missing, {first} to {last}"
            text = f"{span}: no Parquet file there; window.minimum_rows_per_day is {minimum:,}"
            value = f"{len(run)} missing"
            yield Problem(self._where(first), Rule.MISSING_DAY, text, value, str(minimum), first)

    def _misplaced(self) -> Iterator[Problem]:
        partitions = self.days.partitions
        for day in sorted(self.present):
            if (right := partitions.last_day(day)) != day:
                text = (
                    f"the partition's date ends no {partitions.period}, and dataset.partitions is "
                    f"'{partitions}': its rows belong to {right}"
                )
                yield Problem(
                    self._where(day), Rule.WRONG_PARTITION, text, str(day), str(right), day
                )

    def _where(self, day: date) -> str:
        return self.lake.uri(self.lake.partition(day))

    def _read(self, day: date, version: Version, path: Path) -> Seen | Problem:
        where = self.lake.uri(version.key)
        try:
            with path.open("wb") as target:
                bucket, wanted = self.lake.bucket, version.version_id
                for _ in bucket.stream(version.key, target, version_id=wanted):
                    pass
        except AbsentError:
            text = f"version {version.version_id} was removed while it was read"
            return Problem(where, Rule.UNREADABLE, text, "removed", "a kept version", day)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        footer = read_footer(path, where, day, self.date_column)
        size = path.stat().st_size
        path.unlink()
        if isinstance(footer, Problem):
            return footer
        pin = PinnedFile(
            date=day,
            split=self.days.split(day),
            key=version.key,
            version_id=version.version_id,
            sha256=sha256,
            size=size,
            rows=footer.rows,
        )
        return Seen(pin, footer)
