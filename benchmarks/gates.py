"""How often the gate of ``flights`` errs, on real predictions.

Real models of real nights are trained by the pipeline's own steps; then

- *nights*: each night's model against the model of the night before, on its own holdout;
- *equal*: two seeds' predictions on a resampled holdout, on one scale, each row's pair swapped by a
  coin, so that there is no true difference: the gate should say pass;
- *harm*: the same with harm planted in the candidate: of one carrier's 500 rows 24 more are decided
  wrongly (4.8 points), or of 6,000 rows 60 more (1 point).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from training_rig import Rig, processor, rig

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.data.pinned import Split
from nightshift.data.reader import download, read_snapshot
from nightshift.definition.load import load_pipeline
from nightshift.definition.model import PipelineDefinition
from nightshift.evaluation.comparison import Comparison
from nightshift.evaluation.outcomes import selected, threshold_at_rate
from nightshift.evaluation.predictions import Predictions, as_text
from nightshift.gates.result import verdict_of
from nightshift.gates.rules import Judgement, Ruling, judge
from nightshift.gates.verdict import GateVerdict
from nightshift.training.examples import ExampleReader

FIRST, NIGHTS = date(2013, 8, 28), 10
SEED_NIGHTS = (date(2013, 8, 31), date(2013, 9, 3), date(2013, 9, 6))
"""Nights of which a second seed is trained."""


def main() -> None:
    """Measure, print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--comparisons", type=int, default=1000)
    parser.add_argument("--only", choices=["nights", "equal", "harm"])
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "done").exists():
        _predict(folder)
        (folder / "done").touch()
    wanted = [arguments.only] if arguments.only else ["nights", "equal", "harm"]
    print(f"{processor()}, seed {arguments.seed}\n")
    if "nights" in wanted:
        _nights(folder)
    with ProcessPoolExecutor(2) as pool:
        if "equal" in wanted:
            trial = partial(_equal, folder, arguments.seed)
            _tell("no difference", pool.map(trial, range(arguments.comparisons), chunksize=10))
        if "harm" in wanted:
            for name, harm in (("5 points in 500 rows", _slice), ("1 point in 6,000", _whole)):
                trial = partial(_harmed, folder, arguments.seed, harm)
                _tell(name, pool.map(trial, range(100), chunksize=5))


def _definition() -> PipelineDefinition:
    return load_pipeline("flights")


# Predictions.


def _predict(folder: Path) -> None:
    with rig() as bench:
        nights = [FIRST + timedelta(n) for n in range(NIGHTS)]
        bench.definition = _definition()
        _seed(bench, nights[-1])
        before: Path | None = None
        for night in nights:
            print(f"training {night}", flush=True)
            before = _night(bench, night, before, folder)


def _seed(bench: Rig, last: date) -> None:
    from nightshift.data.seed import seed

    seed(bench.lake, last=last)


def _night(bench: Rig, night: date, before: Path | None, folder: Path) -> Path:
    """Train the night; keep its predictions beside those of the model before, and of a seed."""
    snapshot = bench.snapshot(night)
    model = _train(bench, night, snapshot, folder / f"model-{night}", seed=1)
    if before:
        _table(bench, snapshot, model, before, folder / f"night-{night}.parquet")
    if night in SEED_NIGHTS:
        other = _train(bench, night, snapshot, folder / f"model-{night}-2", seed=2)
        _table(bench, snapshot, model, other, folder / f"seeds-{night}.parquet")
    return model


def _train(bench: Rig, night: date, snapshot: ArtifactRef, target: Path, *, seed: int) -> Path:
    result = bench.run(bench.train_request(snapshot, night=night, seed=seed, profile=False))
    assert result.artifact is not None, result.error
    target.mkdir(exist_ok=True)
    bench.store.fetch(bench.store.open(result.artifact), target)
    return target / "saved_model"


def _table(bench: Rig, snapshot: ArtifactRef, ours: Path, theirs: Path, target: Path) -> None:
    from nightshift.training.saved_model import Predictor

    definition = bench.definition
    pinned = read_snapshot(bench.store, bench.store.open(snapshot))
    files = download(pinned, Split.HOLDOUT, target.parent / "holdout")
    reader = ExampleReader(definition.features, definition.label, definition.sliced)
    parts = [reader.examples(batch) for batch in reader.batches(files)]

    def scores(model: Path) -> np.ndarray:
        predictor = Predictor(model)
        return np.concatenate([predictor.predict(part.inputs) for part in parts])

    Predictions(
        labels=np.concatenate([part.labels for part in parts]),
        slices={
            name: pa.concat_arrays([as_text(part.extras[name]) for part in parts])
            for name in definition.sliced
        },
        candidate=scores(ours),
        champion=scores(theirs),
    ).write(target)


# Judgements.


def _read(path: Path) -> Predictions:
    return Predictions.read(path, _definition().sliced)


def _judge(predictions: Predictions) -> tuple[Judgement, ...]:
    definition = _definition()
    slicings = (*definition.slices, *definition.sensitive)
    rules = [rule for rule in definition.gates if not rule.metric.is_fact]
    return judge(rules, Comparison(predictions, slicings, definition.evaluation), {})


def _nights(folder: Path) -> None:
    print("| night | rows | verdict | what was not passed |\n|---|---|---|---|")
    for path in sorted(folder.glob("night-*.parquet")):
        predictions = _read(path)
        judgements = _judge(predictions)
        open_ = [str(j) for j in judgements if j.ruling in (Ruling.FAILED, Ruling.INCONCLUSIVE)]
        night = path.stem.removeprefix("night-")
        verdict = verdict_of(judgements)
        print(f"| {night} | {len(predictions):,} | {verdict} | {'; '.join(open_)} |", flush=True)
    print()


def _equal(folder: Path, seed: int, number: int) -> tuple[str, list[str]]:
    draw = np.random.default_rng([seed, number])
    return _verdict(_swapped(_resampled(folder, draw), draw))


def _harmed(folder: Path, seed: int, harm: Any, number: int) -> tuple[str, list[str]]:
    draw = np.random.default_rng([seed, 1, number])
    return _verdict(harm(_swapped(_resampled(folder, draw), draw), draw))


def _verdict(predictions: Predictions) -> tuple[str, list[str]]:
    judgements = _judge(predictions)
    blamed = [
        f"{j.rule}: {j.ruling}"
        for j in judgements
        if j.ruling in (Ruling.FAILED, Ruling.INCONCLUSIVE)
    ]
    return verdict_of(judgements).value, sorted(set(blamed))


def _resampled(folder: Path, draw: np.random.Generator) -> Predictions:
    """A holdout drawn anew, with replacement, from one of the nights with two seeds."""
    paths = sorted(folder.glob("seeds-*.parquet"))
    predictions = _read(paths[draw.integers(len(paths))])
    return _take(predictions, draw.integers(len(predictions), size=len(predictions)))


def _take(predictions: Predictions, rows: np.ndarray) -> Predictions:
    champion = predictions.champion
    assert champion is not None
    return replace(
        predictions,
        labels=predictions.labels[rows],
        slices={name: column.take(pa.array(rows)) for name, column in predictions.slices.items()},
        candidate=predictions.candidate[rows],
        champion=champion[rows],
    )


def _swapped(predictions: Predictions, draw: np.random.Generator) -> Predictions:
    """Each row's pair in an order that a coin gives: no true difference is left.

    Before that the second model's scores are mapped onto the first's distribution, rank by rank.
    That changes neither its ranking nor whom it selects; but of two models of which one scores
    higher throughout, a mixture would rank and select worse than either.
    """
    coin = draw.integers(0, 2, len(predictions)).astype(bool)
    ours, theirs = predictions.candidate, predictions.champion
    assert theirs is not None
    ranks: Any = np.empty(len(theirs), dtype=int)
    ranks[np.argsort(theirs, kind="stable")] = np.arange(len(theirs))
    theirs = np.sort(ours)[ranks]
    return replace(
        predictions,
        candidate=np.where(coin, ours, theirs),
        champion=np.where(coin, theirs, ours),
    )


def _slice(predictions: Predictions, draw: np.random.Generator) -> Predictions:
    """One carrier's rows become 500, of which 24 more are wrong: 4.8 points.

    Some carriers have too few late flights that were selected: another is drawn then.
    """
    carriers = np.array(predictions.slices["carrier"].to_pylist())
    names, counts = np.unique(carriers, return_counts=True)
    while True:
        carrier = draw.choice(names[counts >= 200])
        inside = np.flatnonzero(carriers == carrier)
        kept = np.concatenate([np.flatnonzero(carriers != carrier), draw.choice(inside, 500)])
        changed = _take(predictions, kept)
        among = np.arange(len(kept) - 500, len(kept))
        if _found(changed)[among].sum() >= 12:
            return _worse(changed, among, 12, draw)


def _whole(predictions: Predictions, draw: np.random.Generator) -> Predictions:
    """6,000 rows, of which 60 more are wrong."""
    some = _take(predictions, draw.integers(len(predictions), size=6000))
    return _worse(some, np.arange(6000), 30, draw)


def _worse(
    predictions: Predictions, among: np.ndarray, pairs: int, draw: np.random.Generator
) -> Predictions:
    """In each pair a late flight that was selected and one on time that was not change scores."""
    scores = predictions.candidate.copy()
    right, late = _right(predictions)[among], predictions.labels[among] == 1
    found = draw.choice(among[right & late], pairs, replace=False)
    spared = draw.choice(among[right & ~late], pairs, replace=False)
    scores[found], scores[spared] = scores[spared], scores[found]
    return replace(predictions, candidate=scores)


def _found(predictions: Predictions) -> np.ndarray:
    """Which rows are late and selected by the candidate."""
    return _right(predictions) & (predictions.labels == 1)


def _right(predictions: Predictions) -> np.ndarray:
    """Which rows the candidate decides rightly."""
    rate = _definition().evaluation.rate
    assert rate is not None
    chosen = selected(predictions.candidate, threshold_at_rate(predictions.candidate, rate))
    return chosen == (predictions.labels == 1)


def _tell(name: str, verdicts: Iterator[tuple[str, list[str]]]) -> None:
    found = list(verdicts)
    counts = Counter(verdict for verdict, _ in found)
    told = [f"{v} {counts[v.value]} ({counts[v.value] / len(found):.1%})" for v in GateVerdict]
    print(f"{name}: of {len(found)}: {', '.join(told)}")
    for rule, times in Counter(rule for _, rules in found for rule in rules).most_common():
        print(f"  {rule}: {times}")
    print(flush=True)


if __name__ == "__main__":
    main()
