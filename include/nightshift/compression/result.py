"""What was measured of all variants: the content of ``variants.json``.

Imports nothing heavy: budgets and reports are made of it where there is no LiteRT.
"""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict

from nightshift.compression.processor import Processor
from nightshift.definition.compression import Target
from nightshift.evaluation.result import Scores

VARIANTS_FILE = "variants.json"
BATCH = 32
"""Rows of a batch whose time and memory are measured."""


class FloatOperator(BaseModel):
    """One operator that reads or writes a float tensor."""

    model_config = ConfigDict(frozen=True)

    name: str
    """TFLite's own name, such as ``CONV_2D``."""
    number: int
    """Its place in the order of execution, from 0."""
    tensors: tuple[str, ...]
    """The float tensors that it touches, as ``name: type``."""

    def __str__(self) -> str:
        return f"{self.name} (operator {self.number}: {', '.join(self.tensors)})"


class Latency(BaseModel):
    """One model's times under one load, from its own input tensors to its own output tensor."""

    model_config = ConfigDict(frozen=True)

    threads: int
    rows: int
    p50_ms: float
    p99_ms: float
    rounds: int
    """Measurements; of few, the 99th percentile is the slowest."""


class Served(BaseModel):
    """The variant with float inputs and outputs, beside the one that it was made like."""

    model_config = ConfigDict(frozen=True)

    size: int
    """In bytes."""
    largest_difference: float
    """Between the two's answers, over the whole holdout."""
    float_operators: tuple[FloatOperator, ...]
    """Operators in float inside it."""


class Measured(BaseModel):
    """One model on the whole holdout, through LiteRT."""

    model_config = ConfigDict(frozen=True)

    size: int
    """In bytes."""
    gzip_size: int
    """Compressed with gzip at its highest level, in bytes."""
    scores: Scores
    disagreement: float
    """Share of rows to which it gives another class than the float model does."""
    latencies: tuple[Latency, ...]
    peak_bytes: int
    """Memory that loading it and asking for one batch adds to a process."""
    operators: dict[str, int]
    float_operators: tuple[FloatOperator, ...]

    def latency(self, *, threads: int, rows: int) -> Latency:
        """Its times under one load."""
        return next(t for t in self.latencies if t.threads == threads and t.rows == rows)


class MeasuredVariant(BaseModel):
    """One target's variant."""

    model_config = ConfigDict(frozen=True)

    target: Target
    refused: str = ""
    """Why there is no such variant."""
    measured: Measured | None = None
    """None where there is no such variant."""
    served: Served | None = None
    sparsity: float | None = None


class Variants(BaseModel):
    """All variants of a night's model."""

    model_config = ConfigDict(frozen=True)

    pipeline: str
    night: date
    rows: int
    """Holdout rows with a label; all of them were asked."""
    processor: Processor
    baseline: Measured | None
    """The float model in TFLite; None where the converter refuses even that."""
    variants: tuple[MeasuredVariant, ...]
    seconds: dict[str, float] = {}
