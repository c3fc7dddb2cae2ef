"""Step ``snapshot``: pin the bytes of the lake that this night reads, and what it is compared with.

Only footers are looked at here; values are judged by ``statistics`` and ``expectations``. What is
pinned stays: a re-run of the night reads these versions whatever the lake holds by then.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path

from nightshift.artifacts.store import ArtifactStore
from nightshift.data.columns import Column, expected_columns
from nightshift.data.inspection import Footer, check_columns, check_dates, read_footer
from nightshift.data.lake import Lake
from nightshift.data.pinned import SNAPSHOT_FILE, Baseline, PinnedFile, Snapshot, Split
from nightshift.data.problems import Problem, Rule, bad_lake
from nightshift.data.reader import read_snapshot
from nightshift.definition.model import Dataset, Feature, Label, Window
from nightshift.errors import DigestMismatchError
from nightshift.release.candidate import Candidate
from nightshift.steps.contract import StepContext, StepOutcome, StepRequest
from nightshift.storage.s3 import AbsentError, Version, lake_bucket

_PARALLEL = 8
_SECTIONS = ("dataset", "label", "features", "slices")


@dataclass(frozen=True)
class Days:
    """A night's window: ``first`` to ``night``, of which ``holdout`` and later are held out."""

    first: date
    holdout: date
    night: date

    @classmethod
    def of(cls, window: Window, night: date) -> Days:
        """The window that ends with ``night``."""
        return cls(
            first=night - timedelta(days=window.days - 1),
            holdout=night - timedelta(days=window.holdout_days - 1),
            night=night,
        )

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


def run(context: StepContext) -> StepOutcome:
    """Pin the window.

    Raises:
        BadDataError: A day is missing or short, a file cannot be read, a column is missing or has
            another type, a row is dated other than its partition. All problems are told at once.
        UnavailableError: The object store does not answer.
    """
    request = context.request
    dataset = request.section("dataset", Dataset)
    window = request.section("window", Window)
    days = Days.of(window, request.night)
    lake = Lake(lake_bucket(), dataset.name)
    baseline = pinned_baseline(context.store, request.pipeline)
    previous = _previous(context, baseline)
    present = lake.list(days.first, days.night)
    seen, problems = _look(lake, present, days, dataset.date_column, previous, context.work)
    usual = _usual_types(seen, previous)
    expected = _columns(request)
    reference = previous.types if previous and previous.types else usual
    problems += _footer_problems(seen, expected, reference, dataset.date_column)
    problems += _short_days(lake, present, seen, problems, days, window.minimum_rows_per_day)
    if problems:
        raise bad_lake(request.pipeline, request.night, sorted(problems, key=_importance))
    snapshot = Snapshot(
        pipeline=request.pipeline,
        night=request.night,
        bucket=lake.bucket.name,
        files=tuple(file.pin for file in seen),
        types=usual,
        baseline=baseline,
    )
    (context.output / SNAPSHOT_FILE).write_text(snapshot.model_dump_json(indent=1))
    return _outcome(context, snapshot, days, read=sum(1 for f in seen if f.footer))


def pinned_baseline(store: ArtifactStore, pipeline: str) -> Baseline:
    """The champion and the version before it, as the release log has them now."""
    from nightshift.release.log import ReleaseLog

    record = ReleaseLog(store.bucket, pipeline).record()
    released = tuple(c for c in (record.champion, record.previous) if c is not None)
    return Baseline(champion=record.champion, released=released)


def _previous(context: StepContext, baseline: Baseline) -> Snapshot | None:
    """The champion's snapshot, if it was checked by the same rules: its files need no new look."""
    reference = baseline.champion and baseline.champion.lineage.get("snapshot")
    if not reference:
        return None
    try:
        artifact = context.store.open(reference)
        snapshot = read_snapshot(context.store, artifact)
    except DigestMismatchError as error:
        context.log.warning("Every file is read anew, for the last snapshot is gone: %s", error)
        return None
    same = all(
        artifact.manifest.parameters.get(name) == context.request.parameters[name]
        for name in _SECTIONS
    )
    return snapshot if same else None


def _look(
    lake: Lake,
    present: Mapping[date, Sequence[Version]],
    days: Days,
    date_column: str,
    previous: Snapshot | None,
    work: Path,
) -> tuple[list[Seen], list[Problem]]:
    """Pin every file of the window; those that the previous snapshot pinned are not read again."""
    known = {(f.key, f.version_id): f for f in previous.files} if previous else {}
    files = [(day, version) for day in sorted(present) for version in present[day]]

    def one(numbered: tuple[int, tuple[date, Version]]) -> Seen | Problem:
        number, (day, version) = numbered
        pin = known.get((version.key, version.version_id)) if version.version_id else None
        if pin:
            return Seen(pin.model_copy(update={"split": days.split(day)}), None)
        return _read(lake, day, version, days.split(day), date_column, work / f"{number}.parquet")

    with ThreadPoolExecutor(_PARALLEL) as pool:
        found = list(pool.map(one, enumerate(files)))
    return [f for f in found if isinstance(f, Seen)], [f for f in found if isinstance(f, Problem)]


def _read(
    lake: Lake, day: date, version: Version, split: Split, date_column: str, path: Path
) -> Seen | Problem:
    where = lake.uri(version.key)
    try:
        with path.open("wb") as target:
            for _ in lake.bucket.stream(version.key, target, version_id=version.version_id):
                pass
    except AbsentError:
        text = f"version {version.version_id} was removed while it was read"
        return Problem(where, Rule.UNREADABLE, text, "removed", "a kept version", day)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    footer = read_footer(path, where, day, date_column)
    size = path.stat().st_size
    path.unlink()
    if isinstance(footer, Problem):
        return footer
    pin = PinnedFile(
        date=day,
        split=split,
        key=version.key,
        version_id=version.version_id,
        sha256=sha256,
        size=size,
        rows=footer.rows,
    )
    return Seen(pin, footer)


def _columns(request: StepRequest) -> tuple[Column, ...]:
    return expected_columns(
        request.section("dataset", Dataset),
        request.section("label", Label),
        request.section("features", dict[str, Feature]),
        request.section("slices", tuple[str, ...]),
    )


def _usual_types(seen: Sequence[Seen], previous: Snapshot | None) -> dict[str, str]:
    """Columns of most files, each with its most frequent family; the last release's come first."""
    footers = [f.footer for f in seen if f.footer]
    counts: dict[str, Counter[str]] = {}
    for footer in footers:
        for name, family in footer.families.items():
            counts.setdefault(name, Counter())[family.value] += 1
    frequent = {
        n: c.most_common(1)[0][0] for n, c in counts.items() if 2 * c.total() > len(footers)
    }
    return dict(sorted({**frequent, **(previous.types if previous else {})}.items()))


def _footer_problems(
    seen: Sequence[Seen],
    expected: Sequence[Column],
    usual: Mapping[str, str],
    date_column: str,
) -> list[Problem]:
    problems = []
    for footer in (f.footer for f in seen if f.footer):
        problems += check_columns(footer, expected, usual)
        dated = check_dates(footer, date_column)
        problems += [dated] if dated else []
    return problems


def _short_days(
    lake: Lake,
    present: Mapping[date, Sequence[Version]],
    seen: Sequence[Seen],
    found: Sequence[Problem],
    days: Days,
    minimum: int,
) -> list[Problem]:
    """Days without a file, and days with too few rows (whose files could all be read)."""
    unreadable = {p.day for p in found if p.rule is Rule.UNREADABLE}
    rows = Counter({day: 0 for day in present})
    for file in seen:
        rows[file.pin.date] += file.pin.rows
    problems = _missing_days(lake, [day for day in days if not present.get(day)], minimum)
    for day, count in sorted(rows.items()):
        if count < minimum and day not in unreadable:
            what = "the day is empty: 0 rows" if not count else f"the day has {count:,} rows"
            text = f"{what}, window.minimum_rows_per_day is {minimum:,}"
            where = lake.uri(lake.partition(day))
            problems.append(Problem(where, Rule.FEW_ROWS, text, str(count), str(minimum), day))
    return problems


def _missing_days(lake: Lake, missing: Sequence[date], minimum: int) -> list[Problem]:
    """One problem for each run of days without a file."""
    problems = []
    for _, run_of_days in groupby(enumerate(missing), key=lambda p: p[1] - timedelta(p[0])):
        run = [day for _, day in run_of_days]
        first, last = run[0], run[-1]
        span = (
            f"{first} is missing"
            if first == last
            else (f"{len(run)} days are missing, {first} to {last}")
        )
        text = f"{span}: no Parquet file there; window.minimum_rows_per_day is {minimum:,}"
        where = lake.uri(lake.partition(first))
        problems.append(
            Problem(where, Rule.MISSING_DAY, text, f"{len(run)} days", str(minimum), first)
        )
    return problems


def _importance(problem: Problem) -> tuple[int, int]:
    """What explains the rest comes first: no file, no column; then the newest day."""
    return list(Rule).index(problem.rule), -problem.day.toordinal()


def _outcome(context: StepContext, snapshot: Snapshot, days: Days, read: int) -> StepOutcome:
    champion = snapshot.baseline.champion
    warnings = _baseline_warnings(champion, snapshot.night)
    for warning in warnings:
        context.log.warning("%s", warning)
    rows = {split: snapshot.rows(split) for split in Split}
    context.log.info(
        "Pinned %d files of %s to %s (%d read, %d known from the champion's snapshot): "
        "%s rows to train on, %s held out from %s.",
        len(snapshot.files),
        days.first,
        days.night,
        read,
        len(snapshot.files) - read,
        f"{rows[Split.TRAIN]:,}",
        f"{rows[Split.HOLDOUT]:,}",
        days.holdout,
    )
    return StepOutcome(
        metrics={
            "train_rows": rows[Split.TRAIN],
            "holdout_rows": rows[Split.HOLDOUT],
            "days": (days.night - days.first).days + 1,
            "bytes": sum(f.size for f in snapshot.files),
        },
        facts={
            "first_day": days.first.isoformat(),
            "first_holdout_day": days.holdout.isoformat(),
            "last_day": days.night.isoformat(),
            "champion_version": champion.version if champion else None,
            "champion_night": champion.night.isoformat() if champion else None,
            "warnings": warnings,
        },
    )


def _baseline_warnings(champion: Candidate | None, night: date) -> list[str]:
    if champion is None or champion.night <= night:
        return []
    text = (
        f"The champion, version {champion.version}, was trained on {champion.night}, which is newer "
        f"than this night ({night}): the release will refuse this model without an override."
    )
    return [text]
