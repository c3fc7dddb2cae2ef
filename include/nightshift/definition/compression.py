"""Which compressed variants of the model are made, and what each must keep to be accepted."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from nightshift.definition.section import Section


class Target(StrEnum):
    """One way to make a model smaller; all end in a ``.tflite`` file."""

    FLOAT16 = "float16"
    """Weights in 16 bits."""
    DYNAMIC = "dynamic"
    """Weights in 8 bits, activations quantized while it runs."""
    INT8 = "int8"
    """Weights and activations in 8 bits, calibrated; no operator in float."""
    PRUNED = "pruned"
    """Small weights set to zero while it is fitted further."""
    CLUSTERED = "clustered"
    """Weights share few values."""
    PRUNED_INT8 = "pruned_int8"
    CLUSTERED_INT8 = "clustered_int8"

    @property
    def full_integer(self) -> bool:
        """Whether it claims that no operator computes in float."""
        return self in (Target.INT8, Target.PRUNED_INT8, Target.CLUSTERED_INT8)

    @property
    def pruned(self) -> bool:
        """Whether it is fitted further under pruning."""
        return self in (Target.PRUNED, Target.PRUNED_INT8)

    @property
    def clustered(self) -> bool:
        """Whether it is fitted further under clustering."""
        return self in (Target.CLUSTERED, Target.CLUSTERED_INT8)


class Recipe(Section):
    """All that one variant is made by. Budgets and the other targets are no part of it."""

    target: Target
    baseline: bool = False
    """Also makes the float TFLite model that every variant is compared with."""
    calibration_rows: int | None = None
    """None where nothing is calibrated; likewise below."""
    sparsity: float | None = None
    clusters: int | None = None
    finetune_epochs: int | None = None


class Budgets(Section):
    """What a variant may cost against the float TFLite model; empty: no limit."""

    max_size_ratio: Annotated[float, Field(gt=0)] | None = None
    """Bytes of the file."""
    max_metric_drop: Annotated[float, Field(ge=0)] | None = None
    """Loss of the pipeline's main metric over the whole holdout, in the metric's own unit."""
    max_latency_ratio: Annotated[float, Field(gt=0)] | None = None
    """Median time of one example, one thread."""


class Compression(Section):
    """Compressed variants of the trained model."""

    targets: tuple[Target, ...] = ()
    budgets: Budgets = Budgets()
    overrides: dict[Target, Budgets] = Field(default_factory=dict)
    """Budgets of single targets, in place of the common ones."""
    edge: Target | None = None
    """The target whose accepted variant becomes the edge bundle."""
    calibration_rows: Annotated[int, Field(ge=1)] = 500
    """Rows of the train part that activations' ranges are measured on."""
    sparsity: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """Share of zeros that pruning ends with."""
    clusters: Annotated[int, Field(ge=2, le=256)] = 32
    """Distinct values a clustered weight matrix keeps."""
    finetune_epochs: Annotated[int, Field(ge=1)] = 2
    """Epochs of further fitting under pruning and clustering."""

    @model_validator(mode="after")
    def _edge_is_made(self) -> Compression:
        if self.edge and self.edge not in self.targets:
            raise ValueError(f"edge is '{self.edge}', which is not among targets")
        strangers = sorted(set(self.overrides) - set(self.targets))
        if strangers:
            raise ValueError(f"overrides for {strangers}, which are not among targets")
        if len(set(self.targets)) != len(self.targets):
            raise ValueError("targets: each at most once")
        return self

    def recipe_of(self, target: Target) -> Recipe:
        """How one target is made; the first of them also makes the float TFLite model."""
        fitted = target.pruned or target.clustered
        return Recipe(
            target=target,
            baseline=target is self.targets[0],
            calibration_rows=self.calibration_rows if target.full_integer else None,
            sparsity=self.sparsity if target.pruned else None,
            clusters=self.clusters if target.clustered else None,
            finetune_epochs=self.finetune_epochs if fitted else None,
        )

    def budgets_of(self, target: Target) -> Budgets:
        """The budgets that one target must keep."""
        return self.overrides.get(target, self.budgets)
