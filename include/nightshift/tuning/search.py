"""The search itself: so many trials side by side, pruned, ended at the time limit, counted.

It asks Optuna for parameters, starts a process per trial, hears each of its epochs and tells
Optuna how it ended. It alone writes to the study, and it runs nothing of TensorFlow, or it could
not be forked.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path

import optuna
from optuna.trial import TrialState

from nightshift.definition.training import Scalar, Training, Tuning
from nightshift.errors import BadDefinitionError, ErrorKind, NightshiftError, StepError
from nightshift.tuning.material import Material
from nightshift.tuning.space import suggested
from nightshift.tuning.study import finished, is_unchanged
from nightshift.tuning.trial import Judged, run_trial

MOST_LOST = 3
"""Trials whose process died of itself before the search gives up."""
REASON = "reason"
"""Why a trial was ended early."""

_FORK = multiprocessing.get_context("fork")


@dataclass
class _Running:
    trial: optuna.Trial
    parameters: dict[str, Scalar]
    process: ForkProcess
    pipe: Connection
    began: float = field(default_factory=time.monotonic)
    loss: float | None = None
    unwanted: bool = False


class Search:
    """Runs trials until there are as many as wanted.

    Args:
        study: Prepared by :func:`nightshift.tuning.study.take_up`.
        tuning: Space, number, time limit.
        training: What the trials change.
        material: What they are fitted on and judged by.
        folder: The pipeline's.
        parallel: Trials side by side.
        cores: That they share.
        log: Gets a line per trial.
    """

    def __init__(
        self,
        study: optuna.Study,
        tuning: Tuning,
        training: Training,
        material: Material,
        folder: Path,
        *,
        parallel: int,
        cores: int,
        log: logging.Logger,
    ) -> None:
        self.study, self.tuning, self.training = study, tuning, training
        self.material, self.folder, self.log = material, folder, log
        self.parallel, self.threads = parallel, max(1, cores // parallel)
        self.running: list[_Running] = []
        self.lost = 0
        self.timed_out = False

    def run(self) -> None:
        """Search to the end. However this ends, none of the trials' processes is left.

        Raises:
            BadDefinitionError: The parameters of pipeline.yaml cannot be trained with, or not one
                trial ended within the time limit.
            NightshiftError: Processes died again and again, or a trial broke.
        """
        deadline = time.monotonic() + 60 * self.tuning.timeout_minutes - self._spent()
        try:
            while self._start_more():
                if time.monotonic() > deadline:
                    self._end_all("the time limit")
                    self.timed_out = True
                    break
                pipes = [running.pipe for running in self.running]
                for pipe in wait(pipes, max(0.0, deadline - time.monotonic())):
                    self._hear(next(r for r in self.running if r.pipe is pipe))
        finally:
            self._end_all("the search's end")
        if not any(t.state is TrialState.COMPLETE for t in finished(self.study)):
            raise BadDefinitionError(
                f"Not one trial came to its end within {self.tuning.timeout_minutes:g} minutes. "
                "Raise tuning.timeout_minutes, or lower training.epochs."
            )

    def _spent(self) -> float:
        """Seconds that earlier attempts took for the trials that count."""
        durations = (t.duration.total_seconds() for t in finished(self.study) if t.duration)
        return sum(durations) / self.parallel

    def _start_more(self) -> bool:
        """Fill free places while trials are wanted; False once nothing runs."""
        while (
            len(self.running) < self.parallel
            and len(finished(self.study)) + len(self.running) < self.tuning.trials
        ):
            self._start()
        return bool(self.running)

    def _start(self) -> None:
        trial = self.study.ask()
        parameters = suggested(trial, self.tuning.space)
        ours, theirs = _FORK.Pipe()
        process = _FORK.Process(
            target=run_trial,
            args=(self.material, self.training.tuned(parameters), self.folder, self.threads),
            kwargs={"pipe": theirs},
            name=f"trial-{trial.number}",
            daemon=True,
        )
        process.start()
        theirs.close()  # else the end of the process would not be heard
        self.running.append(_Running(trial, parameters, process, ours))

    def _hear(self, one: _Running) -> None:
        try:
            said = one.pipe.recv()
        except EOFError:
            self._lose(one)
            return
        if isinstance(said, Judged):
            self._judge(one, said)
        elif said is None:
            self._finish(one)
        else:
            self._fail(one, said)

    def _judge(self, one: _Running, said: Judged) -> None:
        one.loss = said.loss
        if math.isfinite(said.loss):
            one.trial.report(said.loss, said.epoch)
        unchanged = is_unchanged(one.trial)
        one.unwanted = not unchanged and (
            not math.isfinite(said.loss)
            or (said.epoch < self.training.epochs and one.trial.should_prune())
        )
        try:
            one.pipe.send(not one.unwanted)
        except BrokenPipeError:
            pass  # its end is heard next

    def _finish(self, one: _Running) -> None:
        if one.unwanted or one.loss is None:
            self._tell(one, TrialState.PRUNED, "it fell behind the others")
        else:
            self._tell(one, TrialState.COMPLETE)

    def _fail(self, one: _Running, error: StepError) -> None:
        if error.kind is ErrorKind.BAD_DEFINITION and not is_unchanged(one.trial):
            # These parameters cannot be trained with: an answer, as good as a bad loss.
            self._tell(one, TrialState.PRUNED, error.message)
            return
        self._tell(one, TrialState.FAIL, error.message)
        failed = NightshiftError(f"Trial {one.trial.number} broke: {error.message}", **error.facts)
        failed.kind = error.kind
        raise failed

    def _lose(self, one: _Running) -> None:
        one.process.join()
        how = f"its process ended by exit code {one.process.exitcode}"
        self._tell(one, TrialState.FAIL, how)
        self.lost += 1
        if self.lost > MOST_LOST:
            raise NightshiftError(
                f"{self.lost} trials' processes died; the last, trial {one.trial.number}, by exit "
                f"code {one.process.exitcode}. Out of memory is the usual cause: lower "
                f"tuning.parallel (now {self.parallel}). The retry goes on with the trials there "
                "are."
            )
        if is_unchanged(one.trial):
            self.study.enqueue_trial(one.parameters, user_attrs=one.trial.user_attrs)

    def _tell(self, one: _Running, state: TrialState, reason: str = "") -> None:
        if one in self.running:
            self._end(one)
        if reason:
            one.trial.set_user_attr(REASON, reason[:500])
        self.study.tell(one.trial, one.loss if state is TrialState.COMPLETE else None, state)
        values = ", ".join(f"{name} {_short(value)}" for name, value in one.parameters.items())
        loss = "no loss" if one.loss is None else f"loss {one.loss:.5f}"
        why = f" ({reason.splitlines()[0]})" if reason else ""
        self.log.info(
            "trial %d %s (%d of %d): %s in %.1f s: %s%s",
            one.trial.number,
            state.name.lower(),
            len(finished(self.study)),
            self.tuning.trials,
            loss,
            time.monotonic() - one.began,
            values,
            why,
        )

    def _end_all(self, why: str) -> None:
        cut_off = list(self.running)
        for one in cut_off:  # all of them, before the storage is told of the first
            self._end(one)
        for one in cut_off:
            self._tell(one, TrialState.FAIL, f"cut off by {why}")

    def _end(self, one: _Running) -> None:
        self.running.remove(one)
        one.process.kill()
        one.process.join()
        one.pipe.close()


def _short(value: Scalar) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
