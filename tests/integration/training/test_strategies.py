"""One model file, four strategies: the same losses, or as good a model; and a job that dies."""

from __future__ import annotations

import re
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from nightshift.definition.model import PipelineDefinition
from nightshift.errors import ErrorKind
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.launch import StepProcess
from nightshift.training.checkpoint import KIND, newest_checkpoint
from tests.integration.training.conftest import Trained
from tests.integration.training.small_night import DEFINITION, SmallNight

# 879 rows: the last batch has 47, which neither two nor three workers share evenly.
BATCH, EPOCHS = 64, 3
WORKER = "nightshift.training.worker"


def definition(night: SmallNight, **training: Any) -> PipelineDefinition:
    how = {**DEFINITION["training"], "epochs": EPOCHS, "global_batch_size": BATCH, **training}
    return night.definition(training=how)


def losses(result: StepResult) -> list[float]:
    assert result.error is None, result.error
    return [epoch["loss"] for epoch in result.facts["epochs"]]


def train(trained: Trained, **training: Any) -> StepResult:
    night = trained.night
    return night.run("train", {"snapshot": trained.snapshot}, definition(night, **training))


@pytest.fixture(scope="module")
def single(trained: Trained) -> StepResult:
    """What every strategy is compared with."""
    return train(trained)


@pytest.mark.parametrize(("strategy", "workers"), [("mirrored", 3), ("multi_worker", 2)])
def test_workers_in_step_learn_what_one_process_learns(
    strategy: str, workers: int, trained: Trained, single: StepResult
) -> None:
    result = train(trained, strategy=strategy, workers=workers)
    assert losses(result) == pytest.approx(losses(single), rel=1e-4)
    assert result.metrics["train_auc"] == pytest.approx(single.metrics["train_auc"], abs=1e-4)
    left = trained.night.s3.artifacts.list(f"small/artifacts/{KIND}/")
    assert list(left) == [], "the model is committed: its checkpoints must be gone"


def test_parameter_servers_learn_as_well(trained: Trained, single: StepResult) -> None:
    result = train(trained, strategy="parameter_server", workers=2, parameter_servers=1)
    assert losses(result)[-1] == pytest.approx(losses(single)[-1], rel=0.1)
    lines = "\n".join(trained.night.lines)
    assert re.search(rf"\[chief-0\] epoch {EPOCHS}/{EPOCHS} loss", lines)


def test_bfloat16_learns_and_answers_in_float32(trained: Trained, single: StepResult) -> None:
    result = train(trained, precision="mixed_bfloat16")
    assert losses(result) != losses(single)
    assert losses(result)[-1] == pytest.approx(losses(single)[-1], rel=0.05)


def test_training_ends_early_when_nothing_becomes_better(trained: Trained) -> None:
    result = train(
        trained,
        epochs=9,
        learning_rate=1e-9,
        early_stopping={"monitor": "loss", "patience": 2, "min_delta": 0.01},
    )
    assert len(losses(result)) == 3


@dataclass
class Attempt:
    """A train step under way."""

    process: StepProcess
    lines: list[str]
    thread: threading.Thread
    result: StepResult | None = None

    @classmethod
    def of(cls, request: StepRequest) -> Attempt:
        attempt = cls(StepProcess(request), [], threading.Thread())
        attempt.thread = threading.Thread(target=attempt._run)
        attempt.thread.start()
        return attempt

    def _run(self) -> None:
        self.result = self.process.run(self.lines.append)

    def wait_for(self, words: str, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not any(words in line for line in self.lines):
            assert self.thread.is_alive(), "\n".join(self.lines)
            assert time.monotonic() < end, "\n".join(self.lines)
            time.sleep(0.02)

    def ended(self, seconds: float = 60) -> StepResult:
        self.thread.join(seconds)
        assert self.result is not None, "\n".join(self.lines)
        return self.result


def workers_of(request: StepRequest) -> dict[str, psutil.Process]:
    """By role, the processes of the step with this attempt."""
    found = {}
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            if WORKER in line and request.attempt in Path(line[-2]).read_text():
                found[Path(line[-1]).name] = process
        except (psutil.Error, OSError):
            continue
    return found


def test_a_dead_worker_ends_the_job_and_the_retry_goes_on_where_it_was(trained: Trained) -> None:
    night = trained.night
    how = definition(night, strategy="multi_worker", workers=2, epochs=15, seed=5)
    request = night.request("train", {"snapshot": trained.snapshot}, how)
    attempt = Attempt.of(request)
    attempt.wait_for("epoch 3/15")
    processes = workers_of(request)
    processes["worker-1"].send_signal(signal.SIGKILL)
    error = attempt.ended().error
    assert error is not None
    assert error.kind is ErrorKind.DEFECT
    assert "worker-1 of strategy 'multi_worker' was ended by SIGKILL" in error.message
    assert "the retry goes on from the last checkpoint" in error.message
    assert psutil.wait_procs(list(processes.values()), timeout=10)[1] == []
    checkpoint = newest_checkpoint(night.store, "small", request.key)
    assert checkpoint is not None
    done = checkpoint.manifest.facts["epoch"]
    assert done >= 3

    retry = night.run("train", {"snapshot": trained.snapshot}, how)
    assert f"[worker-0] Resumed after epoch {done}, step 0" in night.lines
    trained_again = [line for line in night.lines if re.search(r"epoch \d+/15 ", line)]
    assert len(trained_again) == 15 - done
    undisturbed = train(trained, epochs=15, seed=5)
    assert losses(retry) == pytest.approx(losses(undisturbed), rel=1e-4)


def test_a_worker_that_stands_still_is_named(trained: Trained) -> None:
    night = trained.night
    # Longer than a busy machine takes to trace the first step: it counts as one without progress.
    limit = 25
    how = definition(
        night, strategy="multi_worker", workers=2, epochs=10_000, progress_timeout_seconds=limit
    )
    request = night.request("train", {"snapshot": trained.snapshot}, how, nonce="stuck")
    attempt = Attempt.of(request)
    attempt.wait_for("epoch 2/10000")
    workers_of(request)["worker-1"].send_signal(signal.SIGSTOP)
    error = attempt.ended(seconds=4 * limit).error
    assert error is not None
    assert error.kind is ErrorKind.DEFECT
    # Silent, or without a step, or given up by the other one: whichever is seen first.
    assert "worker-1 of strategy 'multi_worker'" in error.message
    assert "has been silent for" in error.message or f"(limit {limit} s)" in error.message


def test_the_end_of_the_step_ends_every_process_of_its_job(trained: Trained) -> None:
    night = trained.night
    how = definition(night, strategy="multi_worker", workers=2, epochs=10_000)
    request = night.request("train", {"snapshot": trained.snapshot}, how, nonce="ended")
    attempt = Attempt.of(request)
    attempt.wait_for("epoch 1/10000")
    processes = workers_of(request)
    assert sorted(processes) == ["worker-0", "worker-1"]
    attempt.process.kill()
    assert psutil.wait_procs(list(processes.values()), timeout=10)[1] == []
    attempt.ended()


def test_one_process_resumes_too(trained: Trained) -> None:
    night = trained.night
    how = definition(night, epochs=30, seed=7)
    request = night.request("train", {"snapshot": trained.snapshot}, how)
    attempt = Attempt.of(request)
    attempt.wait_for("epoch 5/30")
    attempt.process.kill(grace=0.0)
    attempt.ended()
    retry = night.run("train", {"snapshot": trained.snapshot}, how)
    first = next(line for line in night.lines if re.match(r"epoch \d+/30", line))
    assert first.split()[1] not in ("1/30", "2/30", "3/30")
    undisturbed = night.run("train", {"snapshot": trained.snapshot}, how, nonce="undisturbed")
    assert losses(retry) == pytest.approx(losses(undisturbed), rel=1e-4)
