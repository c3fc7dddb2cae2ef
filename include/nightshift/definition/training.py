"""How the model is fitted: strategy, place, checkpoints, search. ``model.py`` knows none of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from nightshift.definition.section import Section

Scalar = bool | int | float | str


SEARCHED = ("learning_rate", "global_batch_size")
"""Fields of ``training`` that a search may change, beside ``training.parameters``."""


class Strategy(StrEnum):
    """How the work of one batch is divided (``tf.distribute``)."""

    SINGLE = "single"
    """One process, one device."""
    MIRRORED = "mirrored"
    """One process; ``workers`` devices of this machine, each with a copy of the variables."""
    MULTI_WORKER = "multi_worker"
    """``workers`` processes that add up their gradients after each batch."""
    PARAMETER_SERVER = "parameter_server"
    """``workers`` processes that send gradients to ``parameter_servers`` without waiting."""


class Cluster(StrEnum):
    """Where the processes of a strategy run."""

    LOCAL = "local"
    """On this machine."""
    RAY = "ray"
    """On the Ray cluster of the Airflow connection ``nightshift_ray``."""


class Precision(StrEnum):
    """In what the model computes; its variables are float32 in either case."""

    FLOAT32 = "float32"
    MIXED_BFLOAT16 = "mixed_bfloat16"


class EarlyStopping(Section):
    """End training when an epoch's metric has not become better for a while."""

    monitor: Literal["loss", "auc", "accuracy"] = "loss"
    """A metric over the train rows of an epoch."""
    patience: Annotated[int, Field(ge=1)] = 3
    """Epochs without improvement that are still waited for."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """What counts as better, in the metric's own unit."""


class Checkpoints(Section):
    """How often a job that dies finds its work again."""

    every_epochs: Annotated[int, Field(ge=1)] = 1
    every_minutes: Annotated[float, Field(gt=0)] | None = None
    """Also within an epoch, after so many minutes; empty: at ends of epochs alone."""


class Training(Section):
    """How the model is fitted."""

    strategy: Strategy = Strategy.SINGLE
    cluster: Cluster = Cluster.LOCAL
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    parameter_servers: Annotated[int, Field(ge=0, le=64)] = 0
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 5
    global_batch_size: Annotated[int, Field(ge=1)] = 256
    """Rows of one update, over all workers together."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    learning_rate_decay: Literal["none", "cosine"] = "none"
    """``cosine`` lets it fall to 0 over all epochs (Loshchilov and Hutter 2017): the last steps no
    longer decide by chance where the model ends, so that two seeds, or two nights, agree more."""
    precision: Precision = Precision.FLOAT32
    early_stopping: EarlyStopping | None = None
    checkpoints: Checkpoints = Checkpoints()
    progress_timeout_seconds: Annotated[float, Field(gt=0)] = 300.0
    """A worker that finishes no step for this long is stuck: the job stops and is retried."""
    profile: bool = True
    """Record a profile of five steps of the first epoch for TensorBoard."""
    seed: int = 1
    parameters: dict[str, Scalar] = Field(default_factory=dict)
    """Handed to model.py as they are."""

    def value(self, name: str) -> Scalar | None:
        """What a search may change, by its name: one of ``SEARCHED`` or of ``parameters``."""
        given = getattr(self, name) if name in SEARCHED else self.parameters.get(name)
        return given if given is None or isinstance(given, bool | int | float | str) else None

    def tuned(self, values: Mapping[str, Scalar]) -> Training:
        """The same with other values, by the names of :meth:`value`."""
        fields = self.model_dump()
        own = {name: value for name, value in values.items() if name in SEARCHED}
        others = {name: value for name, value in values.items() if name not in SEARCHED}
        return Training.model_validate(
            {**fields, **own, "parameters": {**self.parameters, **others}}
        )

    @model_validator(mode="after")
    def _roles_fit(self) -> Training:
        if self.strategy is Strategy.SINGLE and self.workers > 1:
            raise ValueError(
                f"strategy 'single' has one worker (given: {self.workers}); choose mirrored, "
                "multi_worker or parameter_server"
            )
        served = self.strategy is Strategy.PARAMETER_SERVER
        if served != (self.parameter_servers > 0):
            raise ValueError(
                f"strategy '{self.strategy}' with parameter_servers: {self.parameter_servers}; "
                "strategy 'parameter_server' needs at least 1, the others take none"
            )
        if self.cluster is Cluster.RAY and self.strategy is not Strategy.MULTI_WORKER:
            raise ValueError(f"cluster 'ray' runs strategy 'multi_worker', not '{self.strategy}'")
        if self.global_batch_size < self.workers:
            raise ValueError(
                f"global_batch_size ({self.global_batch_size}) leaves some of {self.workers} "
                "workers without a row"
            )
        return self


class Range(Section):
    """The values that a search may try for one parameter: a range or a list."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    """Try orders of magnitude evenly."""
    integer: bool = False
    choices: tuple[Scalar, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> Range:
        ranged = self.low is not None and self.high is not None
        if ranged == bool(self.choices):
            raise ValueError("give either low and high, or choices")
        if ranged and not self.low < self.high:  # type: ignore[operator]
            raise ValueError(f"low ({self.low}) must be less than high ({self.high})")
        if self.log and not (self.low or 0) > 0:
            raise ValueError("log needs low > 0")
        return self

    def holds(self, value: Scalar) -> bool:
        """Whether a search may try this value."""
        if self.choices:
            return any(value == c and type(value) is type(c) for c in self.choices)
        if isinstance(value, bool | str) or (self.integer and value != int(value)):
            return False
        assert self.low is not None and self.high is not None
        return self.low <= value <= self.high

    def __str__(self) -> str:
        if self.choices:
            return ", ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}"


class Tuning(Section):
    """Search parameters before training; the best feed ``train``."""

    space: Annotated[dict[str, Range], Field(min_length=1)]
    """By name: ``learning_rate``, ``global_batch_size``, or one of ``training.parameters``."""
    trials: Annotated[int, Field(ge=1)] = 20
    pruner: Literal["none", "median", "hyperband"] = "median"
    """Ends a trial whose epochs fall behind the others'."""
    timeout_minutes: Annotated[float, Field(gt=0)] = 60.0
    parallel: Annotated[int, Field(ge=1)] | None = None
    """Trials side by side; empty: one a core."""
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Last part of the train days that trials are compared on. Never the holdout."""

    def problems(self, training: Training) -> Iterator[str]:
        """What keeps a search from changing this training, and from trying it unchanged first."""
        for name, range_ in self.space.items():
            value = training.value(name)
            if value is None:
                known = ", ".join((*SEARCHED, *training.parameters))
                yield f"tuning.space.{name}: there is no such parameter; there are {known}"
            elif not range_.holds(value):
                yield (
                    f"tuning.space.{name}: the value in 'training', {value!r}, is not among those "
                    f"to try ({range_}); it is tried first, to compare with"
                )
