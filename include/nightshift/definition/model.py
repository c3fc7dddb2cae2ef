"""Everything a data engineer tunes in one pipeline, as one typed model.

Each section of ``pipeline.yaml`` is one class here. A step names the sections it reads, and only
those enter its key: a changed gate never retrains a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from nightshift.definition.approval import Approval
from nightshift.definition.card import CardTexts
from nightshift.definition.compression import Compression, Target
from nightshift.definition.gates import MAIN, OF_CLASSES, GateRule, Measuring, Metric, main_metric
from nightshift.definition.partitions import Partitions
from nightshift.definition.recording import Recording
from nightshift.definition.rollout import Rollout
from nightshift.definition.section import Name, Section
from nightshift.definition.slicing import Slicing, columns_of
from nightshift.definition.training import Training, Tuning
from nightshift.definition.validation import Validation


class FeatureType(StrEnum):
    """The type a feature has in the lake and in the serving request."""

    STRING = "string"
    INT = "int"
    FLOAT = "float"
    IMAGE = "image"
    """Pixels from 0 to 255: in the lake as bytes, row by row; in a request as nested numbers."""


class Feature(Section):
    """One raw input of the model, by its column name in the lake."""

    type: FeatureType
    shape: tuple[int, int, int] | None = None
    """Height, width and channels of an image."""

    @model_validator(mode="after")
    def _images_have_a_shape(self) -> Feature:
        if (self.type is FeatureType.IMAGE) != (self.shape is not None):
            raise ValueError("an image has a shape: [height, width, channels], nothing else has")
        if self.shape and min(self.shape) < 1:
            raise ValueError(f"shape {list(self.shape)} must be positive")
        return self


class Dataset(Section):
    """Where the data lies: ``s3://<lake>/<name>/date=YYYY-MM-DD/*.parquet``."""

    name: Name
    date_column: str = "date"
    partitions: Partitions = Partitions.DAILY
    """What one partition covers; it and its rows are dated with the period's last day, and so is
    a night."""
    unique: tuple[str, ...] = ()
    """Columns that together identify a row; duplicates stop the run. Empty: not checked."""


class Label(Section):
    """What is predicted: a 0/1 column, a number compared with ``above``, or one of ``classes``."""

    name: Name
    column: str
    above: float | None = None
    """The label is 1 where the column is greater than this, in the column's own unit."""
    classes: tuple[str, ...] = ()
    """Names of the classes whose numbers, from 0, the column holds; empty: the label is 0 or 1."""
    missing: Annotated[str, Field(pattern="^(drop|error)$")] = "error"
    """What to do with rows whose label column is null."""

    @model_validator(mode="after")
    def _one_kind(self) -> Label:
        if self.classes and self.above is not None:
            raise ValueError("give either above or classes")
        if self.classes and (len(self.classes) < 2 or len(set(self.classes)) < len(self.classes)):
            raise ValueError(f"classes must be two or more different names: {list(self.classes)}")
        return self


class Window(Section):
    """The rolling window that ends with the night, the holdout at its end."""

    days: Annotated[int, Field(ge=2, le=3660)]
    """Days in the window, holdout included. A partition belongs to it by its date: 365 days have
    one yearly partition, 730 have two, leap years or not."""
    holdout_days: Annotated[int, Field(ge=1)]
    minimum_rows_per_day: Annotated[int, Field(ge=1)] = 1
    """A partition with fewer rows stops the run."""
    since: date | None = None
    """The lake's first day: a window that would begin before it begins there, and so grows night by
    night until it has ``days``. Empty: every night has as many days."""

    @model_validator(mode="after")
    def _holdout_fits(self) -> Window:
        if self.holdout_days >= self.days:
            raise ValueError(
                f"holdout_days ({self.holdout_days}) must be less than days ({self.days})"
            )
        return self


class Schedule(Section):
    """When the night runs. Without ``cron`` the pipeline runs only when triggered.

    The night is the last day before the run: yesterday, or for ``0 2 1 1 *`` the year's last day.
    """

    cron: str | None = "0 2 * * *"
    timezone: str = "UTC"
    start: date | None = None
    """First day that a night may cover: the first night, or the first period's first day."""
    end: date | None = None
    """Last day on which a period may begin; of a daily schedule the last night; empty for ever."""

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not an IANA time zone, such as 'America/New_York'")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The time zone as an object."""
        return ZoneInfo(self.timezone)


class Release(Rollout):
    """How an accepted model goes live."""

    golden_requests: Annotated[int, Field(ge=1, le=1000)] = 32
    """Holdout rows sent to the idle colour before it may take traffic."""
    tolerance: Annotated[float, Field(gt=0)] = 1e-5
    """Largest absolute difference allowed between a golden answer and the trained model's."""
    load_timeout_seconds: Annotated[float, Field(gt=0)] = 120.0
    """How long a host may take to pull, load and warm a version."""
    serve: Literal["float", "int8"] = "float"
    """Which variant goes to serving; both have the float model's signature."""
    recording: Recording = Recording()

    @property
    def rollout(self) -> Rollout:
        """The part that a release carries with it into the log."""
        return Rollout(**{name: getattr(self, name) for name in Rollout.model_fields})


class PipelineDefinition(Section):
    """One pipeline, whole."""

    pipeline: Name
    description: str = ""
    owner: str = "nightshift"
    dataset: Dataset
    label: Label
    features: Annotated[dict[str, Feature], Field(min_length=1)]
    window: Window
    schedule: Schedule = Schedule()
    slices: tuple[Slicing, ...] = ()
    sensitive: tuple[Slicing, ...] = ()
    """Features by which the model must be fair; they need not be inputs of the model."""
    evaluation: Measuring = Measuring()
    validation: Validation = Validation()
    training: Training = Training()
    tuning: Tuning | None = None
    compression: Compression = Compression()
    gates: Annotated[tuple[GateRule, ...], Field(min_length=1)]
    approval: Approval = Approval()
    release: Release = Release()
    card: CardTexts = CardTexts()
    folder: Path = Field(exclude=True)
    """Where the pipeline's files lie on this machine; never part of a key."""

    @field_validator("features", mode="before")
    @classmethod
    def _short_features(cls, value: Any) -> Any:
        """Accept ``carrier: string`` for ``carrier: {type: string}``."""
        if not isinstance(value, dict):
            return value
        return {k: {"type": v} if isinstance(v, str) else v for k, v in value.items()}

    @model_validator(mode="after")
    def _parts_fit_together(self) -> PipelineDefinition:
        if self.label.column in self.features:
            raise ValueError(f"features: {self.label.column!r} is the label's column: it leaks")
        if unknown := sorted(set(self.release.recording.leave_out) - set(self.features)):
            raise ValueError(f"release.recording.leave_out: {unknown} are not among the features")
        if problems := list(self._gate_problems()):
            raise ValueError("; ".join(problems))
        stopping = self.training.early_stopping
        if self.label.classes and stopping and stopping.monitor == "auc":
            raise ValueError(
                "training.early_stopping: auc ranks two classes; with label.classes monitor loss "
                "or accuracy"
            )
        if self.tuning and (problems := list(self.tuning.problems(self.training))):
            raise ValueError("; ".join(problems))
        if self.release.serve == "int8" and Target.INT8 not in self.compression.targets:
            raise ValueError("release.serve is 'int8', which is not among compression.targets")
        return self

    def _gate_problems(self) -> Iterator[str]:
        named = [slicing.name for slicing in (*self.slices, *self.sensitive)]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            yield f"slices, sensitive: {twice} is declared twice; give one of them another name"
        asked = {rule.slice for rule in self.gates if rule.slice}
        if undeclared := sorted(asked - set(named)):
            yield f"gates: slice {undeclared} is not declared under slices or sensitive"
        for metric in dict.fromkeys(rule.metric for rule in self.gates):
            if self.label.classes and not metric.is_fact and metric not in OF_CLASSES:
                yield f"gates: {metric} is of two classes; with label.classes use accuracy"
        if not any(rule.metric in MAIN for rule in self.gates):
            yield f"gates: at least one rule must be about one of {', '.join(MAIN)}"

    @property
    def main_metric(self) -> Metric:
        """The metric that a table of nights shows."""
        return main_metric(self.gates)

    @property
    def sliced(self) -> tuple[str, ...]:
        """The lake columns that slices and sensitive features read."""
        return columns_of(self.slices, self.sensitive)

    def section(self, name: str) -> Any:
        """One section as plain JSON values, as it enters a key and a request.

        ``sliced`` is only the columns: other buckets of one need no other snapshot. ``left_out`` is
        what logged requests lack. ``release`` is only what an artifact is made by: how a version
        goes live and what is recorded train no other model.
        """
        if name == "sliced":
            return sorted(self.sliced)
        if name == "left_out":
            return sorted(self.release.recording.leave_out)
        if name == "release":
            later = {*Rollout.model_fields, "recording"}
            return self.release.model_dump(mode="json", exclude=later)
        return self.model_dump(mode="json", include={name})[name]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every lake column that a run reads, sorted."""
        wanted = {*self.features, self.label.column, self.dataset.date_column}
        return tuple(sorted(wanted | set(self.dataset.unique) | set(self.sliced)))
