"""Step ``evaluate_variants``: every variant on the whole holdout, through LiteRT.

One process for all, without TensorFlow: the same rows for each model, and times taken in turns.
Files of the artifact: ``variants.json``.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nightshift.compression.latency import measure_latency
from nightshift.compression.litert import LiteModel
from nightshift.compression.memory import peak_bytes
from nightshift.compression.operators import float_operators, operator_counts
from nightshift.compression.processor import this_processor
from nightshift.compression.result import (
    BATCH,
    VARIANTS_FILE,
    Latency,
    Measured,
    MeasuredVariant,
    Served,
    Variants,
)
from nightshift.compression.variant import (
    BASELINE_FILE,
    MODEL_FILE,
    SERVED_FILE,
    VARIANT_FILE,
    Variant,
)
from nightshift.data.pinned import Split
from nightshift.data.reader import download, read_snapshot
from nightshift.definition.compression import Target
from nightshift.definition.model import Feature, Label
from nightshift.errors import BadDataError
from nightshift.evaluation.measure import scores_of
from nightshift.steps.contract import StepContext, StepOutcome
from nightshift.training.examples import ExampleReader

_FLOAT, _SERVED = "float", "served"
_LATENCY_ROWS = BATCH

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class _Made:
    """What the quantize steps made, fetched.

    Attributes:
        variants: In the order of the inputs' names.
        files: Models by name: each target's, ``float``, and ``served``.
    """

    variants: tuple[Variant, ...]
    files: dict[str, Path]


@dataclass(frozen=True)
class _Asked:
    """The whole holdout, and what each model said of it.

    Attributes:
        labels: Shape [rows].
        answers: By model, shape [rows] or [rows, classes].
        some: The first examples, by feature: enough for a batch.
    """

    labels: Array
    answers: dict[str, Array]
    some: dict[str, Array]


def run(context: StepContext) -> StepOutcome:
    """Ask every model about every holdout row, then measure sizes, times and memory.

    Raises:
        BadDataError: The holdout has no row with a label.
    """
    started = time.monotonic()
    made = _fetch(context)
    asked = _ask(context, made)
    seconds = {"holdout": round(time.monotonic() - started, 3)}
    contents = {name: path.read_bytes() for name, path in made.files.items() if name != _SERVED}
    contents = {n: c for n, c in contents.items() if not _unusable(asked.answers[n])}
    latencies = measure_latency(contents, asked.some) if contents else {}
    seconds["latency"] = round(time.monotonic() - started - seconds["holdout"], 3)
    measured = {name: _measured(name, made, asked, latencies[name]) for name in contents}
    result = Variants(
        pipeline=context.request.pipeline,
        night=context.request.night,
        rows=len(asked.labels),
        processor=this_processor(),
        baseline=measured.get(_FLOAT),
        variants=tuple(_variant(v, made, asked, measured) for v in made.variants),
        seconds=seconds,
    )
    (context.output / VARIANTS_FILE).write_text(result.model_dump_json(indent=1), encoding="utf-8")
    context.log.info("%d holdout rows on %s", result.rows, result.processor)
    return StepOutcome(metrics=_metrics(result), facts={"processor": str(result.processor)})


def _fetch(context: StepContext) -> _Made:
    variants: list[Variant] = []
    files: dict[str, Path] = {}
    for name in context.request.inputs:
        if not name.startswith("quantize."):
            continue
        folder = context.fetch(name)
        variant = Variant.model_validate_json((folder / VARIANT_FILE).read_bytes())
        variants.append(variant)
        named = {variant.target: MODEL_FILE, _FLOAT: BASELINE_FILE, _SERVED: SERVED_FILE}
        files |= {str(n): folder / file for n, file in named.items() if (folder / file).exists()}
    return _Made(tuple(variants), files)


def _ask(context: StepContext, made: _Made) -> _Asked:
    request = context.request
    reader = ExampleReader(
        request.section("features", dict[str, Feature]), request.section("label", Label)
    )
    snapshot = read_snapshot(context.store, context.input("snapshot"))
    files = download(snapshot, Split.HOLDOUT, context.work / "holdout")
    models = {name: LiteModel(path) for name, path in made.files.items()}
    labels: list[Array] = []
    answers: dict[str, list[Array]] = {name: [] for name in models}
    some: dict[str, Array] = {}
    for batch in reader.batches(files):
        examples = reader.examples(batch)
        if not len(examples):
            continue
        labels.append(examples.labels)
        for name, model in models.items():
            answers[name].append(model.predict(examples.inputs))
        some = some or {n: values[:_LATENCY_ROWS] for n, values in examples.inputs.items()}
    if not labels:
        raise BadDataError("No row of the holdout has a label: there is nothing to measure.")
    return _Asked(
        np.concatenate(labels), {n: np.concatenate(parts) for n, parts in answers.items()}, some
    )


def _measured(name: str, made: _Made, asked: _Asked, latencies: tuple[Latency, ...]) -> Measured:
    content = made.files[name].read_bytes()
    answers = asked.answers[name]
    return Measured(
        size=len(content),
        gzip_size=len(gzip.compress(content, 9)),
        scores=scores_of(asked.labels, answers),
        disagreement=float((_classes(answers) != _classes(asked.answers[_FLOAT])).mean()),
        latencies=latencies,
        peak_bytes=peak_bytes(made.files[name], BATCH),
        operators=operator_counts(content),
        float_operators=float_operators(content),
    )


def _variant(
    variant: Variant, made: _Made, asked: _Asked, measured: Mapping[str, Measured]
) -> MeasuredVariant:
    if variant.target not in measured:
        return MeasuredVariant(
            target=variant.target, refused=variant.refused or _no_probabilities(variant, asked)
        )
    return MeasuredVariant(
        target=variant.target,
        measured=measured[variant.target],
        served=_served(variant, made, asked) if variant.target is Target.INT8 else None,
        sparsity=variant.sparsity,
    )


def _served(variant: Variant, made: _Made, asked: _Asked) -> Served:
    apart = np.abs(asked.answers[_SERVED] - asked.answers[variant.target])
    return Served(
        size=made.files[_SERVED].stat().st_size,
        largest_difference=float(apart.max()),
        float_operators=variant.served_float_operators,
    )


def _no_probabilities(variant: Variant, asked: _Asked) -> str:
    wrong = _unusable(asked.answers[variant.target])
    return f"gives no probability (NaN, or outside 0 to 1) in {wrong} of {len(asked.labels)} rows"


def _unusable(answers: Array) -> int:
    """Rows whose answer is no probability."""
    wrong = ~((answers >= 0) & (answers <= 1))
    return int(wrong.reshape(len(answers), -1).any(axis=1).sum())


def _classes(answers: Array) -> Array:
    """The class that each row is given to."""
    return answers.argmax(axis=1) if answers.ndim > 1 else answers >= 0.5


def _metrics(result: Variants) -> dict[str, float]:
    found: dict[str, float] = {}
    models = {str(v.target): v.measured for v in result.variants}
    for name, model in {_FLOAT: result.baseline, **models}.items():
        if model is None:
            continue
        scores = {k: v for k, v in model.scores.model_dump().items() if isinstance(v, float)}
        found |= {f"{name}.{k}": v for k, v in scores.items()}
        found[f"{name}.bytes"] = float(model.size)
        found[f"{name}.p50_ms"] = model.latency(threads=1, rows=1).p50_ms
        found[f"{name}.disagreement"] = model.disagreement
    return found
