"""A training job of several processes: all that one of them must know, wherever it runs.

A job is plain JSON and refers to S3 for the rest. Any machine that has the ``ml`` runtime, this
code and S3's credentials in its environment can take a role in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.definition.training import Strategy, Training
from nightshift.errors import ErrorKind, NightshiftError, StepError
from nightshift.steps.contract import StepRequest
from nightshift.training.features import FeatureStatistics


class Task(StrEnum):
    """What a process does, by the name that ``TF_CONFIG`` has for it."""

    CHIEF = "chief"
    """Of ``parameter_server``: hands out the batches, writes checkpoints; has no share of them."""
    WORKER = "worker"
    """Computes gradients. Of ``multi_worker``, number 0 is the chief and writes checkpoints."""
    PARAMETER_SERVER = "ps"
    """Holds variables."""


@dataclass(frozen=True)
class Role:
    """One process of a job: its task, and its number among those with the same task, from 0."""

    task: Task
    index: int

    def __str__(self) -> str:
        return f"{self.task}-{self.index}"


class Job(BaseModel):
    """What every process of a job is told.

    Holds no credentials: those come from each process's environment, as a step's do.
    """

    model_config = ConfigDict(frozen=True)

    request: StepRequest
    """The train step's request. Its ``folder`` is a path of the machine that started the job."""
    files: dict[str, str]
    """The pipeline's files that the model is built from (``model.py``), by name, as text."""
    statistics: dict[str, FeatureStatistics]
    """What the train part of the window holds: computed once, for all."""
    file_rows: tuple[int, ...]
    """Rows with a label in each train file, in the snapshot's order of files."""
    resume: ArtifactRef | None = None
    """The checkpoint that all start from; None: from the beginning."""

    @property
    def training(self) -> Training:
        """How the model is fitted."""
        return self.request.section("training", Training)

    @property
    def roles(self) -> tuple[Role, ...]:
        """Every process of the job, the chief first."""
        training = self.training
        workers = tuple(Role(Task.WORKER, n) for n in range(training.workers))
        if training.strategy is not Strategy.PARAMETER_SERVER:
            return workers
        servers = (Role(Task.PARAMETER_SERVER, n) for n in range(training.parameter_servers))
        return (Role(Task.CHIEF, 0), *workers, *servers)


class Beat(BaseModel):
    """What a process tells about itself: about once a second, and when something changes."""

    model_config = ConfigDict(frozen=True)

    phase: str
    """``starting``, ``building``, ``training``, ``serving`` (of a parameter server), ``done``."""
    epoch: int = 0
    """Epochs that are complete."""
    step: int = 0
    """Steps of the next epoch that are complete."""
    error: StepError | None = None
    """Why the process ends, where it foresaw it."""


class WorkerLostError(NightshiftError):
    """A process of the job died or stood still: the job was stopped as a whole; a retry resumes.

    Facts: ``role``, ``how``, ``epoch``, ``step``, ``lines`` (the role's last log lines).
    """

    kind = ErrorKind.DEFECT
