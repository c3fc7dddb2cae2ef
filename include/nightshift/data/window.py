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
from nightshift.errors import BadDefinitionError
from nightshift.storage.s3 import AbsentError, Version

_PARALLEL = 8


@dataclass(frozen=True)
class Days:
    """A night's window: ``first`` to ``night``, of which ``holdout`` and later are held out."""

    first: date
    holdout: date
    night: date

    @classmethod
    def of(cls, window: Window, night: date) -> Days:
        """The window that ends with ``night``.

        Raises:
            BadDefinitionError: It would hold nothing but its holdout.
        """
        first = night - timedelta(days=window.days - 1)
        holdout = night - timedelta(days=window.holdout_days - 1)
        if window.since and window.since > first:
            first = window.since
        if first >= holdout:
            earliest = first + timedelta(days=window.holdout_days)
            raise BadDefinitionError(
                f"The night of {night} has no day to train on: window.since in pipeline.yaml is "
                f"{first}, and the last {window.holdout_days} day(s) are held out. The first night "
                f"is {earliest}.",
                value=night.isoformat(),
                limit=earliest.isoformat(),
            )
        return cls(first=first, holdout=holdout, night=night)

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(n) for n in range((self.night - self.first).days + 1))

    def split(self, day: date) -> Split:
        """The part that a day belongs to."""
        return Split.HOLDOUT if day >= self.holdout else Split.TRAIN


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
        """Days without a file, and days with fewer rows than ``minimum`` that could all be read."""
        unreadable = {p.day for p in found if p.rule is Rule.UNREADABLE}
        rows = Counter(dict.fromkeys(self.present, 0))
        for file in seen:
            rows[file.pin.date] += file.pin.rows
        problems = list(self._missing_days(minimum))
        for day, count in sorted(rows.items()):
            if count < minimum and day not in unreadable:
                what = "the day is empty: 0 rows" if not count else f"the day has {count:,} rows"
                text = f"{what}, window.minimum_rows_per_day is {minimum:,}"
                where = self.lake.uri(self.lake.partition(day))
                problems.append(Problem(where, Rule.FEW_ROWS, text, str(count), str(minimum), day))
        return problems

    def _missing_days(self, minimum: int) -> Iterator[Problem]:
        """One problem for each run of days without a file."""
        missing = [day for day in self.days if not self.present.get(day)]
        for _, numbered in groupby(enumerate(missing), key=lambda p: p[1] - timedelta(p[0])):
            run = [day for _, day in numbered]
            first, last = run[0], run[-1]
            span = f"the day {first} is missing"
            if first != last:
                span = f"{len(run)} days are missing, {first} to {last}"
            text = f"{span}: no Parquet file there; window.minimum_rows_per_day is {minimum:,}"
            where = self.lake.uri(self.lake.partition(first))
            value = f"{len(run)} missing"
            yield Problem(where, Rule.MISSING_DAY, text, value, str(minimum), first)

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
