"""Step ``evaluate``: candidate and champion on the same holdout rows, in one pass.

Files of the artifact: ``predictions.parquet``, ``metrics.json``, ``report.html``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from nightshift.data.pinned import PinnedFile, Snapshot, Split
from nightshift.data.reader import download, read_snapshot
from nightshift.definition.gates import Measuring
from nightshift.definition.model import Feature, Label
from nightshift.definition.slicing import Slicing, columns_of
from nightshift.encryption.keys import LostKeyError
from nightshift.errors import BadDataError, GateFailedError
from nightshift.evaluation.comparison import Comparison
from nightshift.evaluation.measure import measure
from nightshift.evaluation.predictions import PREDICTIONS_FILE, Predictions, as_text
from nightshift.evaluation.result import METRICS_FILE, Evaluation
from nightshift.steps.contract import StepContext, StepOutcome
from nightshift.training.examples import ExampleReader, Examples
from nightshift.training.lean_import import import_tensorflow

REPORT_FILE = "report.html"
_MODEL = "saved_model"


@dataclass(frozen=True)
class _Fetched:
    """What is downloaded while TensorFlow is still being imported."""

    holdout: Sequence[tuple[PinnedFile, Path]]
    candidate: Path
    champion: Path | None
    lost: str = ""
    """Why the champion that there is could not be opened."""


def run(context: StepContext) -> StepOutcome:
    """Predict, write the table, measure it, show it.

    Raises:
        BadDataError: The holdout has no row with a label.
        GateFailedError: The candidate gives something that is no probability.
    """
    request = context.request
    features = request.section("features", dict[str, Feature])
    slices, sensitive = (
        request.section(name, tuple[Slicing, ...]) for name in ("slices", "sensitive")
    )
    reader = ExampleReader(features, request.section("label", Label), columns_of(slices, sensitive))
    snapshot = read_snapshot(context.store, context.input("snapshot"))
    started = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(_fetch, context, snapshot)
        import_tensorflow()  # seconds in which the thread downloads
        seconds = {"import": round(time.monotonic() - started, 3)}
        fetched = fetching.result()
    predictions, version, no_champion = _predict(context, snapshot, reader, fetched)
    predictions.write(context.output / PREDICTIONS_FILE)
    measuring = request.section("evaluation", Measuring)
    comparison = Comparison(predictions, (*slices, *sensitive), measuring)
    evaluation = measure(
        comparison,
        slices=slices,
        sensitive=sensitive,
        pipeline=request.pipeline,
        night=request.night,
        champion_version=version,
        no_champion=no_champion,
    )
    _write(evaluation, comparison, context.output)
    seconds["all"] = round(time.monotonic() - started, 3)
    _log(context, evaluation)
    return _outcome(evaluation, seconds)


def _fetch(context: StepContext, snapshot: Snapshot) -> _Fetched:
    holdout = download(snapshot, Split.HOLDOUT, context.work / "holdout")
    candidate = context.fetch("train") / _MODEL
    champion = snapshot.baseline.champion
    if champion is None:
        return _Fetched(holdout, candidate, None)
    try:
        folder = context.fetch_artifact(context.store.open(champion.model), "champion")
    except LostKeyError as error:
        # Or no later night could ever be released.
        lost = f"champion version {champion.version} cannot be opened: {error.message.rstrip('.')}"
        return _Fetched(holdout, candidate, None, lost)
    return _Fetched(holdout, candidate, folder / _MODEL)


def _predict(
    context: StepContext, snapshot: Snapshot, reader: ExampleReader, fetched: _Fetched
) -> tuple[Predictions, int | None, str]:
    """The table; the champion's version; why there is no champion."""
    from nightshift.evaluation.champion import load_champion, unusable
    from nightshift.training.saved_model import Predictor

    candidate = Predictor(fetched.candidate)
    classes = len(reader.label.classes)
    champion, reason = load_champion(
        snapshot.baseline.champion, fetched.champion, reader.features, classes
    )
    reason = fetched.lost or reason
    parts: list[Examples] = []
    ours: list[np.ndarray] = []
    theirs: list[np.ndarray] = []
    for batch in reader.batches(fetched.holdout):
        examples = reader.examples(batch)
        if not len(examples):
            continue
        ours.append(_shaped(candidate.predict(examples.inputs), len(examples), classes))
        if champion:
            theirs.append(champion.predictor.predict(examples.inputs))
        parts.append(Examples({}, examples.labels, examples.extras))
    table = _table(parts, ours, theirs, reader)
    _refuse_unusable(unusable(table.candidate), len(table), context.request.pipeline)
    if champion and table.champion is not None and (wrong := unusable(table.champion)):
        reason = (
            f"champion version {champion.version} gives no probability in {wrong} of "
            f"{len(table)} holdout rows"
        )
        context.log.warning("%s: %s", context.request.pipeline, reason)
        return replace(table, champion=None), None, reason
    return table, champion.version if champion else None, reason


def _table(
    parts: list[Examples], ours: list[np.ndarray], theirs: list[np.ndarray], reader: ExampleReader
) -> Predictions:
    if not parts:
        raise BadDataError("No row of the holdout has a label: there is nothing to measure.")
    return Predictions(
        labels=np.concatenate([part.labels for part in parts]),
        slices={
            name: pa.concat_arrays([_slice(part.extras[name], name, reader) for part in parts])
            for name in reader.extras
        },
        candidate=np.concatenate(ours),
        champion=np.concatenate(theirs) if theirs else None,
        classes=reader.label.classes,
    )


def _slice(column: pa.Array, name: str, reader: ExampleReader) -> pa.Array:
    """As text; a slice by the label itself tells the classes' names."""
    if name == reader.label.column and reader.label.classes:
        return pa.array(reader.label.classes).take(column.cast(pa.int64()))
    return as_text(column)


def _shaped(scores: np.ndarray, rows: int, classes: int) -> np.ndarray:
    expected = (rows, classes) if classes else (rows,)
    if scores.shape != expected:
        raise GateFailedError(
            f"The candidate answered {rows} holdout rows with shape {list(scores.shape)}; expected "
            f"{list(expected)}. The champion goes on serving.",
            value=list(scores.shape),
            limit=list(expected),
        )
    return scores


def _refuse_unusable(wrong: int, rows: int, pipeline: str) -> None:
    if wrong:
        raise GateFailedError(
            f"{pipeline}: the candidate gives no probability (NaN, or outside 0 to 1) in {wrong} "
            f"of {rows} holdout rows; the limit is 0. The champion goes on serving. Look in "
            "model.py for what overflows on rows that training did not have.",
            value=wrong,
            limit=0,
        )


def _write(evaluation: Evaluation, comparison: Comparison, output: Path) -> None:
    from nightshift.evaluation.report import render

    (output / METRICS_FILE).write_text(evaluation.model_dump_json(indent=1), encoding="utf-8")
    (output / REPORT_FILE).write_text(render(evaluation, comparison), encoding="utf-8")


def _log(context: StepContext, evaluation: Evaluation) -> None:
    overall = evaluation.overall
    positive = "" if overall.positives is None else f", {overall.positives} positive"
    context.log.info("%d holdout rows%s", overall.rows, positive)
    context.log.info("candidate %s", overall.candidate)
    if overall.champion:
        context.log.info("champion version %d %s", evaluation.champion_version, overall.champion)
    else:
        context.log.info("no comparison: %s", evaluation.no_champion)


def _outcome(evaluation: Evaluation, seconds: Mapping[str, float]) -> StepOutcome:
    overall = evaluation.overall
    measured = overall.candidate.model_dump()
    if overall.champion:
        measured |= {f"champion_{k}": v for k, v in overall.champion.model_dump().items()}
    return StepOutcome(
        metrics={name: value for name, value in measured.items() if value is not None}
        | {"holdout_rows": overall.rows},
        facts={
            "champion_version": evaluation.champion_version,
            "no_champion": evaluation.no_champion,
            "slices": [_fact(group) for group in evaluation.slices],
            "seconds": dict(seconds),
        },
        reports={"Evaluation report": REPORT_FILE},
    )


def _fact(group: Any) -> dict[str, Any]:
    return {
        "slice": group.slice,
        "value": group.value,
        "rows": group.rows,
        "candidate": group.candidate.model_dump(),
        "champion": group.champion.model_dump() if group.champion else None,
    }
