"""Step ``train``: from a pinned snapshot to a SavedModel, its golden answers and its history.

Files of the artifact: ``saved_model/``, ``golden.json``, ``history.json``; ``keras/``, from which
compression fits the model further, and in it the ``model.py`` that built it.

``single`` and ``mirrored`` train in this process; for the other strategies it starts the processes
of a job, waits without TensorFlow, and exports what the job's last checkpoint holds.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.artifacts.store import Artifact
from nightshift.data.pinned import Snapshot, Split
from nightshift.data.reader import read_snapshot
from nightshift.data.stream import FileStream
from nightshift.definition.model import Feature, Label, Release
from nightshift.definition.training import Precision, Strategy, Training
from nightshift.steps.contract import StepContext, StepOutcome
from nightshift.training.checkpoint import (
    CheckpointWriter,
    State,
    newest_checkpoint,
    read_checkpoint,
    remove_finished,
)
from nightshift.training.cluster import cluster_of
from nightshift.training.events import Recording
from nightshift.training.examples import ExampleReader, Examples, concatenate, first_rows
from nightshift.training.features import FeatureStatistics
from nightshift.training.history import Epoch, stops_early
from nightshift.training.job import Job
from nightshift.training.lean_import import import_tensorflow
from nightshift.training.rows import TrainRows, survey
from nightshift.training.system_usage import SystemUsage
from nightshift.tuning.best import with_best_parameters

if TYPE_CHECKING:
    import tf_keras

HISTORY_FILE = "history.json"
GOLDEN_POOL_ROWS = 131_072
"""Golden requests are chosen from so many rows of the holdout: it need not fit in memory."""


@dataclass(frozen=True)
class _Data:
    """What training needs of the window, read while TensorFlow is still being imported."""

    rows: TrainRows
    statistics: Mapping[str, FeatureStatistics]
    holdout: Examples
    holdout_rows: int
    checkpoint: Artifact | None
    """Where an attempt that was killed had come to."""


@dataclass(frozen=True)
class _Trained:
    model: tf_keras.Model
    """Plain: of one device, computing in float32."""
    epochs: tuple[Epoch, ...]


def run(context: StepContext) -> StepOutcome:
    """Train, export, and answer the golden requests with the exported model.

    Raises:
        BadDataError: The data cannot be what the definition says.
        BadDefinitionError: model.py is wrong, or its model diverges.
        WorkerLostError: A process of the job died or stood still.
    """
    with SystemUsage() as usage:
        outcome = _trained(context)
    outcome.facts["system"] = usage.samples
    return outcome


def _trained(context: StepContext) -> StepOutcome:
    tuned, laps = with_best_parameters(context), _Laps()
    request = context.request
    training = request.section("training", Training)
    features = request.section("features", dict[str, Feature])
    reader = ExampleReader(features, request.section("label", Label))
    snapshot = read_snapshot(context.store, context.input("snapshot"))
    here = training.strategy in (Strategy.SINGLE, Strategy.MIRRORED)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(_read, snapshot, reader, context)
        if here:
            import_tensorflow()  # seconds in which the thread downloads
            laps.end("import")
        data = reading.result()
    laps.end("read")
    context.log.info("%d rows, %d features", data.rows.count, len(features))
    trained = (_train_here if here else _train_on_cluster)(context, training, data, laps)
    _export(trained.model, data, features, context)
    laps.end("export")
    history = [epoch.model_dump() for epoch in trained.epochs]
    (context.output / HISTORY_FILE).write_text(json.dumps(history, indent=1), encoding="utf-8")
    context.log.info("%s", laps)
    last = trained.epochs[-1]
    return StepOutcome(
        metrics={
            "train_loss": last.loss,
            "train_accuracy": last.accuracy,
            **({} if last.auc is None else {"train_auc": last.auc}),
            "train_rows": data.rows.count,
            "parameters": trained.model.count_params(),
        },
        facts={
            "epochs": history,
            "tuned": tuned,
            **_recording(context).facts(),
            "rows": data.rows.count,
            "holdout_rows": data.holdout_rows,
            "in_memory": data.rows.examples is not None,
            "resumed_from": data.checkpoint.manifest.facts if data.checkpoint else None,
            "seconds_fit": laps.seconds["fit"],
            "seconds": laps.seconds,
        },
    )


def after_commit(context: StepContext) -> None:
    """Once the model is committed nobody resumes its training."""
    remove_finished(context.store, context.request.pipeline)


def _read(snapshot: Snapshot, reader: ExampleReader, context: StepContext) -> _Data:
    request = context.request
    # Also what a process left that was killed between its commit and its end.
    remove_finished(context.store, request.pipeline)
    checkpoint = newest_checkpoint(context.store, request.pipeline, request.key)
    rows, statistics = survey(snapshot, reader, context.work / "train")
    holdout = FileStream(snapshot, context.work / "holdout")
    kept, count = first_rows(
        reader.batches(holdout.read(snapshot.split(Split.HOLDOUT))), GOLDEN_POOL_ROWS
    )
    return _Data(rows, statistics, reader.examples(concatenate(kept)), count, checkpoint)


def _train_here(context: StepContext, training: Training, data: _Data, laps: _Laps) -> _Trained:
    from nightshift.training.dataset import as_batch
    from nightshift.training.devices import strategy_here, use_precision
    from nightshift.training.fit import fit, scope_of
    from nightshift.training.objective import loss_of

    strategy = strategy_here(training)
    use_precision(training.precision)
    label = data.rows.reader.label
    with scope_of(strategy):
        model = _build(context.request.folder, data, training)
    laps.end("build")
    state = _state(context, data.checkpoint)
    batches = data.rows.batches(training, start=state.position if state else None)
    writer = CheckpointWriter(context.store, context.request, training.checkpoints, context.log)
    sample = as_batch(data.rows.sample(training.global_batch_size))
    recording = _recording(context)
    try:
        with recording.callbacks(sample, loss_of(label), profile=training.profile) as callbacks:
            epochs = fit(
                model,
                batches,
                training,
                label,
                context.log,
                strategy=strategy,
                writer=writer,
                resume=state,
                callbacks=callbacks,
            )
    finally:
        writer.close()
    laps.end("fit")
    laps.seconds["checkpoints"] = round(writer.seconds, 3)
    if strategy or training.precision is not Precision.FLOAT32:
        values = [variable.numpy() for variable in model.variables]
        model = _plain(context.request.folder, data, training, values)
    return _Trained(model, epochs)


def _train_on_cluster(
    context: StepContext, training: Training, data: _Data, laps: _Laps
) -> _Trained:
    request, checkpoint = context.request, data.checkpoint
    state = _state(context, checkpoint)
    if state is None or not _over(state, training):
        job = Job(
            request=request,
            files={"model.py": (request.folder / "model.py").read_text(encoding="utf-8")},
            statistics=dict(data.statistics),
            file_rows=data.rows.file_rows,
            resume=checkpoint.ref if checkpoint else None,
        )
        cluster_of(training.cluster).run(job, context.work / "job", context.log)
        state = _state(context, newest_checkpoint(context.store, request.pipeline, request.key))
    laps.end("fit")
    assert state is not None
    import_tensorflow()
    model = _plain(request.folder, data, training, state.model)
    laps.end("build")
    return _Trained(model, state.history)


def _recording(context: StepContext) -> Recording:
    return Recording(context.store.bucket, context.request, context.work / "events", context.log)


def _over(state: State, training: Training) -> bool:
    """Whether an attempt died after training, before its commit."""
    return state.position.epoch >= training.epochs or (
        state.position.step == 0 and stops_early(state.history, training.early_stopping)
    )


def _state(context: StepContext, checkpoint: Artifact | None) -> State | None:
    return read_checkpoint(context.store, checkpoint) if checkpoint else None


def _build(folder: Path, data: _Data, training: Training) -> tf_keras.Model:
    from nightshift.training.fit import seed_everything
    from nightshift.training.model_file import build_model

    seed_everything(training.seed)
    classes = len(data.rows.reader.label.classes)
    return build_model(folder, data.statistics, training.parameters, classes)


def _plain(folder: Path, data: _Data, training: Training, values: list) -> tf_keras.Model:
    """The trained model once more, for one device and in float32.

    Hosts and converters need not know how it was trained: variables are float32 in any case.
    """
    from nightshift.training.devices import use_precision

    use_precision(Precision.FLOAT32)
    model = _build(folder, data, training)
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)
    return model


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
    # So that the model can be trained again from its artifact alone, years later.
    shutil.copy(context.request.folder / "model.py", context.output / KEPT_MODEL)
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
