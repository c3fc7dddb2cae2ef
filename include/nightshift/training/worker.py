"""One process of a training job: ``python -m nightshift.training.worker JOB.json FOLDER``.

Its role is that of ``TF_CONFIG``. It dies with the process that started it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightshift.artifacts.store import ArtifactStore
from nightshift.data.reader import read_snapshot
from nightshift.definition.model import Feature, Label
from nightshift.definition.training import Strategy
from nightshift.errors import NightshiftError, StepError
from nightshift.steps.lifeline import die_with_parent
from nightshift.storage.s3 import artifact_bucket
from nightshift.training.beats import Beats
from nightshift.training.checkpoint import CheckpointWriter, State, read_checkpoint
from nightshift.training.events import Recording
from nightshift.training.examples import ExampleReader, Examples
from nightshift.training.job import Beat, Job, Role, Task
from nightshift.training.lean_import import import_tensorflow
from nightshift.training.order import Position, Share
from nightshift.training.rows import TrainRows, reopen

if TYPE_CHECKING:
    import tf_keras

    from nightshift.training.engine import Learner
    from nightshift.training.loop import Engine

BEATS = "NIGHTSHIFT_BEATS"
"""Number of the file descriptor that takes beats, one JSON object a line."""
PARENT = "NIGHTSHIFT_PARENT"
"""Process id of whoever started this process."""

LOG = logging.getLogger("nightshift.training")


def work(job: Job, role: Role, folder: Path, report: Callable[[Beat], None]) -> None:
    """Take one role of a job to its end. ``TF_CONFIG`` must be in the environment.

    A parameter server, and a worker that a chief hands batches to, serve until they are ended.

    Args:
        job: The job.
        role: Which of its processes this one is.
        folder: Scratch folder of this process alone.
        report: Gets a beat about once a second, from a thread of its own.

    Raises:
        NightshiftError: Bad data, a bad model, S3 away.
    """
    beats = Beats(report)
    with beats.running():
        import_tensorflow()
        if job.training.strategy is Strategy.MULTI_WORKER:
            _Member(job, role, folder, beats).train()
        elif role.task is Task.CHIEF:
            _Chief(job, role, folder, beats).train()
        else:
            beats.enter("serving")
            _serve()
        beats.enter("done")


def role_of(config: str) -> Role:
    """The role that a ``TF_CONFIG`` gives."""
    task = json.loads(config)["task"]
    return Role(Task(task["type"]), int(task["index"]))


class _Trainer:
    """What every process that trains does, whatever the strategy."""

    def __init__(self, job: Job, role: Role, folder: Path, beats: Beats) -> None:
        self.job, self.role, self.folder, self.beats = job, role, folder, beats
        self.store = ArtifactStore(artifact_bucket())
        features = job.request.section("features", dict[str, Feature])
        self.reader = ExampleReader(features, job.request.section("label", Label))
        self.state = self._state()
        self.start = self.state.position if self.state else Position()
        self.sample: Examples | None = None
        """Rows to take gradients of for TensorBoard; a chief whose variables are elsewhere has
        none."""

    def _state(self) -> State | None:
        if self.job.resume is None:
            return None
        return read_checkpoint(self.store, self.store.open(self.job.resume))

    def rows(self, processes: int) -> TrainRows:
        self.beats.enter("reading")
        snapshot = read_snapshot(self.store, self.store.open(self.job.request.inputs["snapshot"]))
        copies = self.folder / "train"
        return reopen(snapshot, self.reader, copies, self.job.file_rows, processes)

    def learner(self) -> Learner:
        """Model, loss and optimizer; call it in the strategy's scope."""
        from nightshift.training.engine import Learner
        from nightshift.training.schedule import rate_of

        training = self.job.training
        steps = -(-sum(self.job.file_rows) // training.global_batch_size)
        return Learner(self._model(), self.reader.label, rate_of(training, steps))

    def _model(self) -> tf_keras.Model:
        from nightshift.training.devices import use_precision
        from nightshift.training.fit import seed_everything
        from nightshift.training.model_file import build_model

        self.beats.enter("building")
        # Named as the pipeline, so that errors name its file.
        pipeline = self.folder / self.job.request.pipeline
        pipeline.mkdir(parents=True, exist_ok=True)
        for name, text in self.job.files.items():
            (pipeline / name).write_text(text, encoding="utf-8")
        training = self.job.training
        use_precision(training.precision)
        seed_everything(training.seed)
        classes = len(self.reader.label.classes)
        return build_model(pipeline, self.job.statistics, training.parameters, classes)

    def loop(self, engine: Engine, steps: int, computed: Callable[[], int]) -> None:
        """Train, with checkpoints where this process is the chief."""
        from nightshift.training.fit import refusals
        from nightshift.training.loop import Loop

        training = self.job.training
        writer = None
        if self.role.index == 0:
            writer = CheckpointWriter(
                self.store, self.job.request, training.checkpoints, LOG, result=True
            )
        before = self.start.epoch * steps + self.start.step
        self.beats.enter("training", lambda: Position(*divmod(before + computed(), steps)))
        log = LOG if writer else logging.getLogger("nightshift.silent")
        try:
            with refusals(), ExitStack() as recorded:
                callbacks = recorded.enter_context(self.recorded()) if writer else []
                loop = Loop(engine, steps, training, log, writer=writer, callbacks=callbacks)
                loop.run(self.state)
        finally:
            if writer:
                writer.close()

    @contextmanager
    def recorded(self) -> Iterator[list[tf_keras.callbacks.Callback]]:
        """What records this training for TensorBoard."""
        from nightshift.training.dataset import as_batch
        from nightshift.training.objective import loss_of

        recording = Recording(self.store.bucket, self.job.request, self.folder / "events", LOG)
        sample = as_batch(self.sample) if self.sample else None
        loss = loss_of(self.reader.label)
        with recording.callbacks(sample, loss, profile=self.job.training.profile) as callbacks:
            yield callbacks


class _Member(_Trainer):
    """A worker of ``multi_worker``: computes its share of every batch, in step with the others."""

    def train(self) -> None:
        import tensorflow as tf

        from nightshift.training.engine import GraphEngine
        from nightshift.training.fit import refusals

        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        training = self.job.training
        rows = self.rows(training.workers)
        if self.role.index == 0:
            self.sample = rows.sample(training.global_batch_size)
        with refusals(), strategy.scope():
            learner = self.learner()
        share = Share(self.role.index, training.workers)
        batches = rows.batches(training, share=share, start=self.start)
        engine = GraphEngine(learner, batches, strategy, training.workers)
        self.loop(engine, batches.steps, lambda: int(engine.computed.numpy()))
        _meet(strategy)


class _Chief(_Trainer):
    """The chief of ``parameter_server``: hands every batch to one of the workers."""

    def train(self) -> None:
        import tensorflow as tf

        from nightshift.training.fit import refusals
        from nightshift.training.parameter_server import ParameterServerEngine

        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        strategy = tf.distribute.ParameterServerStrategy(resolver)
        rows = self.rows(1)
        with refusals(), strategy.scope():
            learner = self.learner()
        batches = rows.batches(self.job.training, start=self.start)
        engine = ParameterServerEngine(learner, batches, strategy)
        self.loop(engine, batches.steps, lambda: engine.computed)


def _meet(strategy: Any) -> None:
    """Wait for all workers: one that leaves while the chief still saves would look dead to it."""
    import tensorflow as tf

    strategy.reduce("SUM", strategy.run(lambda: tf.constant(1)), None)


def _serve() -> None:
    """Serve variables or computations until this process is ended."""
    import tensorflow as tf

    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    server = tf.distribute.Server(
        resolver.cluster_spec(),
        job_name=resolver.task_type,
        task_index=resolver.task_id,
        protocol="grpc",
    )
    server.join()


def main(arguments: list[str]) -> int:
    """Take the role of ``TF_CONFIG`` in the job of a file; 0 where it came to its end."""
    die_with_parent()
    if os.environ.get(PARENT) != str(os.getppid()):
        return 1  # whoever started this process died before it asked to be told
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    logging.getLogger("nightshift.silent").setLevel(logging.CRITICAL)
    job = Job.model_validate_json(Path(arguments[0]).read_bytes())
    descriptor = int(os.environ[BEATS])

    def report(beat: Beat) -> None:
        os.write(descriptor, beat.model_dump_json().encode() + b"\n")

    try:
        work(job, role_of(os.environ["TF_CONFIG"]), Path(arguments[1]), report)
    except NightshiftError as error:
        told = StepError(kind=error.kind, message=error.message, facts=error.facts)
        report(Beat(phase="done", error=told))
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # taking TensorFlow's servers apart politely can wait for ever
