"""Step ``snapshot``: pin the bytes of the lake that this night reads, and what it is compared with.

Only footers are looked at here; values are judged by ``statistics`` and ``expectations``. What is
pinned stays: a re-run of the night reads these versions whatever the lake holds by then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

from nightshift.artifacts.store import ArtifactStore
from nightshift.data.columns import Column, expected_columns
from nightshift.data.inspection import check_columns, check_dates
from nightshift.data.lake import Lake
from nightshift.data.pinned import SNAPSHOT_FILE, Baseline, Snapshot, Split
from nightshift.data.problems import Problem, Rule, bad_lake
from nightshift.data.reader import read_snapshot
from nightshift.data.requests import pin_requests
from nightshift.data.window import Days, Seen, WindowFiles
from nightshift.definition.model import Dataset, Feature, Label, Window
from nightshift.errors import DigestMismatchError
from nightshift.release.candidate import Candidate
from nightshift.steps.contract import StepContext, StepOutcome, StepRequest
from nightshift.storage.s3 import lake_bucket

_SECTIONS = ("dataset", "label", "features", "sliced")


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
    days = Days.of(window, request.night, dataset.partitions)
    lake = Lake(lake_bucket(), dataset.name)
    baseline = pinned_baseline(context.store, request.pipeline)
    previous = _previous(context, baseline)
    files = WindowFiles(lake, days, dataset.date_column)
    seen, problems = files.look(previous, context.work)
    usual = _usual_types(seen, previous)
    expected = _columns(request)
    reference = previous.types if previous and previous.types else usual
    problems += _footer_problems(seen, expected, reference, dataset.date_column)
    problems += files.short_days(seen, problems, window.minimum_rows_per_day)
    if problems:
        raise bad_lake(request.pipeline, request.night, sorted(problems, key=_importance))
    left_out = request.section("left_out", frozenset[str])
    asked = [c for c in expected if c.role == "features" and c.name not in left_out]
    requests = pin_requests(lake, days, dataset.date_column, tuple(asked), context.work)
    snapshot = Snapshot(
        pipeline=request.pipeline,
        night=request.night,
        bucket=lake.bucket.name,
        files=tuple(file.pin for file in seen),
        requests=requests.files,
        types=usual,
        baseline=baseline,
    )
    (context.output / SNAPSHOT_FILE).write_text(snapshot.model_dump_json(indent=1))
    read = sum(1 for f in seen if f.footer)
    return _outcome(context, snapshot, days, read, requests.warnings)


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


def _columns(request: StepRequest) -> tuple[Column, ...]:
    return expected_columns(
        request.section("dataset", Dataset),
        request.section("label", Label),
        request.section("features", dict[str, Feature]),
        request.section("sliced", tuple[str, ...]),
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


def _importance(problem: Problem) -> tuple[int, int]:
    """What explains the rest comes first: no file, no column; then the newest day."""
    return list(Rule).index(problem.rule), -problem.day.toordinal()


def _outcome(
    context: StepContext, snapshot: Snapshot, days: Days, read: int, said: Sequence[str]
) -> StepOutcome:
    champion = snapshot.baseline.champion
    warnings = [*_baseline_warnings(champion, snapshot.night), *said]
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
            "days": sum(1 for _ in days),
            "bytes": sum(f.size for f in snapshot.files),
            "request_rows": sum(f.rows for f in snapshot.requests),
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
        f"The champion, version {champion.version}, was trained on {champion.night}, newer than "
        f"this night ({night}): the release will refuse this model without an override."
    )
    return [text]
