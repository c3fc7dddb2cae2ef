"""Step ``train``: from a pinned snapshot to a SavedModel, its golden answers and its history.

Files of the artifact: ``saved_model/``, ``golden.json``, ``history.json``; ``keras/``, from which
compression fits the model further.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.data.pinned import PinnedFile, Snapshot, Split
from nightshift.data.reader import download, read_snapshot
from nightshift.definition.model import Feature, Label, Release
from nightshift.definition.training import Training
from nightshift.steps.contract import StepContext, StepOutcome
from nightshift.training.examples import ExampleReader, Examples, concatenate
from nightshift.training.features import FeatureStatistics, compute_statistics
from nightshift.training.keep import cells_of, fits_in_memory
from nightshift.training.lean_import import import_tensorflow
from nightshift.tuning.best import with_best_parameters

if TYPE_CHECKING:
    import tf_keras

    from nightshift.training.dataset import Batches
    from nightshift.training.fit import Epoch

HISTORY_FILE = "history.json"


@dataclass(frozen=True)
class _Data:
    """What training needs of the window, read while TensorFlow is still being imported."""

    files: Sequence[tuple[PinnedFile, Path]]
    statistics: Mapping[str, FeatureStatistics]
    rows: int
    """Train rows with a label."""
    train: Examples | None
    """All train rows; None where they are streamed."""
    holdout: Examples


def run(context: StepContext) -> StepOutcome:
    """Train, export, and answer the golden requests with the exported model.

    Raises:
        BadDataError: The data cannot be what the definition says.
        BadDefinitionError: model.py is wrong, or its model diverges.
    """
    tuned, laps = with_best_parameters(context), _Laps()
    request = context.request
    training = request.section("training", Training)
    features = request.section("features", dict[str, Feature])
    reader = ExampleReader(features, request.section("label", Label))
    snapshot = read_snapshot(context.store, context.input("snapshot"))
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(_read, snapshot, reader, context.work)
        import_tensorflow()  # seconds in which the thread downloads
        laps.end("import")
        data = reading.result()
    laps.end("read")
    model = _build(request.folder, data, training, len(reader.label.classes))
    laps.end("build")
    context.log.info("%d rows, %d features", data.rows, len(features))
    epochs = _fit(model, data, reader, training, context)
    laps.end("fit")
    _export(model, data, features, context)
    laps.end("export")
    history = [asdict(epoch) for epoch in epochs]
    (context.output / HISTORY_FILE).write_text(json.dumps(history, indent=1), encoding="utf-8")
    context.log.info("%s", laps)
    return StepOutcome(
        metrics={
            "train_loss": epochs[-1].loss,
            "train_accuracy": epochs[-1].accuracy,
            **({} if epochs[-1].auc is None else {"train_auc": epochs[-1].auc}),
            "train_rows": data.rows,
            "parameters": model.count_params(),
        },
        facts={
            "epochs": history,
            "tuned": tuned,
            "rows": data.rows,
            "holdout_rows": len(data.holdout),
            "in_memory": data.train is not None,
            "seconds_fit": laps.seconds["fit"],
            "seconds": laps.seconds,
        },
    )


def _read(snapshot: Snapshot, reader: ExampleReader, work: Path) -> _Data:
    files = download(snapshot, Split.TRAIN, work / "train")
    kept = fits_in_memory(snapshot.rows(Split.TRAIN), cells_of(reader))
    held_out = download(snapshot, Split.HOLDOUT, work / "holdout")
    holdout = reader.examples(concatenate(reader.batches(held_out)))
    if kept:
        batch = concatenate(reader.batches(files))
        statistics = compute_statistics([batch], reader.features)
        return _Data(files, statistics, len(batch), reader.examples(batch), holdout)
    statistics = compute_statistics(reader.batches(files), reader.features)
    first = next(iter(statistics.values()))
    return _Data(files, statistics, first.count + first.missing, None, holdout)


def _build(folder: Path, data: _Data, training: Training, classes: int) -> tf_keras.Model:
    from nightshift.training.fit import seed_everything
    from nightshift.training.model_file import build_model

    seed_everything(training.seed)
    return build_model(folder, data.statistics, training.parameters, classes)


def _fit(
    model: tf_keras.Model,
    data: _Data,
    reader: ExampleReader,
    training: Training,
    context: StepContext,
) -> tuple[Epoch, ...]:
    from nightshift.training.fit import fit

    return fit(model, _batches(data, reader, training), training, reader.label, context.log)


def _batches(data: _Data, reader: ExampleReader, training: Training) -> Batches:
    from nightshift.training.dataset import from_files, from_memory

    how = {
        "batch_size": training.global_batch_size,
        "epochs": training.epochs,
        "seed": training.seed,
    }
    if data.train is not None:
        return from_memory(data.train, **how)
    return from_files(reader, data.files, data.rows, **how)


def _export(
    model: tf_keras.Model, data: _Data, features: Mapping[str, Feature], context: StepContext
) -> None:
    from nightshift.training.export import SAVED_MODEL, export, write_warmup
    from nightshift.training.golden import (
        GOLDEN_FILE,
        Golden,
        as_json,
        golden_rows,
        write_golden,
    )
    from nightshift.training.kept_model import KEPT_MODEL, keep_model
    from nightshift.training.probabilities import check_probabilities
    from nightshift.training.saved_model import Predictor
    from nightshift.training.signature import OUTPUT, SIGNATURE

    release = context.request.section("release", Release)
    folder = context.output / SAVED_MODEL
    export(model, features, folder)
    keep_model(model, data.statistics, context.output / KEPT_MODEL)
    rows = golden_rows(data.holdout, features, release.golden_requests)
    inputs = {name: values[rows] for name, values in data.holdout.inputs.items()}
    one = {name: values[:1] for name, values in inputs.items()}
    write_warmup(folder, context.request.pipeline, [one, inputs])
    # Asked of the exported files, not of the model in memory: that is what hosts will load.
    answers = Predictor(folder).predict(inputs)
    check_probabilities(answers, context.request.folder.name)
    write_golden(
        context.output / GOLDEN_FILE,
        Golden(
            signature=SIGNATURE,
            inputs={name: as_json(values) for name, values in inputs.items()},
            outputs={OUTPUT: as_json(answers)},
            tolerance=release.tolerance,
        ),
    )


class _Laps:
    """Wall time of each part of the step, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def end(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = round(now - self._last, 3)
        self._last = now

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:.1f} s" for name, value in self.seconds.items())
