"""Step ``quantize``: one compressed variant of the trained model, by one target's recipe.

Mapped over ``compression.targets``: each target is an artifact of its own (see
:mod:`nightshift.compression.variant`), whose key holds the recipe and no budget.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightshift.compression.calibration import calibration_rows
from nightshift.compression.operators import float_operators, operator_counts
from nightshift.compression.variant import (
    BASELINE_FILE,
    MODEL_FILE,
    SERVED_FILE,
    VARIANT_FILE,
    Variant,
)
from nightshift.data.pinned import Snapshot
from nightshift.data.reader import read_snapshot
from nightshift.definition.compression import Recipe, Target
from nightshift.definition.model import Feature, Label
from nightshift.definition.training import Training
from nightshift.steps.contract import StepContext, StepOutcome
from nightshift.training.examples import ExampleReader
from nightshift.training.lean_import import import_tensorflow

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAVED_MODEL = "saved_model"
_WARMUP = "assets.extra"


@dataclass
class _Job:
    """One variant on its way.

    Attributes:
        context: The step's.
        recipe: The target's.
        trained: The train artifact, fetched.
        snapshot: The night's.
        reader: Reads its files.
        calibration: Examples, downloaded meanwhile; None where nothing is calibrated.
        seconds: Wall time of each part.
    """

    context: StepContext
    recipe: Recipe
    trained: Path
    snapshot: Snapshot
    reader: ExampleReader
    calibration: dict[str, NDArray[Any]] | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Measure one part."""
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 3)


def run(context: StepContext) -> StepOutcome:
    """Make the variant; a model that the converter refuses is a variant that says so.

    Raises:
        BadDataError: The train part cannot be what the definition says.
        BadDefinitionError: model.py builds something that cannot be fitted further.
    """
    job = _prepared(context)
    variant = _made(job)
    (context.output / VARIANT_FILE).write_text(variant.model_dump_json(indent=1), encoding="utf-8")
    _log(context, variant)
    return StepOutcome(metrics=_metrics(context.output, variant), facts=_facts(variant))


def _prepared(context: StepContext) -> _Job:
    """Download while TensorFlow is being imported."""
    request = context.request
    recipe = request.section("recipe", Recipe)
    reader = ExampleReader(
        request.section("features", dict[str, Feature]), request.section("label", Label)
    )
    snapshot = read_snapshot(context.store, context.input("snapshot"))
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        trained = pool.submit(context.fetch, "train")
        calibration: Future[dict[str, NDArray[Any]]] | None = None
        if recipe.calibration_rows:
            folder = context.work / "calibration"
            calibration = pool.submit(
                calibration_rows, snapshot, reader, recipe.calibration_rows, folder
            )
        import_tensorflow()
        job = _Job(
            context,
            recipe,
            trained.result(),
            snapshot,
            reader,
            calibration.result() if calibration else None,
        )
    job.seconds["import"] = round(time.monotonic() - started, 3)
    return job


def _made(job: _Job) -> Variant:
    from nightshift.compression import convert

    target, output = job.recipe.target, job.context.output
    try:
        if job.recipe.baseline:
            with job.lap("baseline"):
                baseline = convert.to_float(job.trained / _SAVED_MODEL)
            (output / BASELINE_FILE).write_bytes(baseline)
        model, sparsity = job.trained / _SAVED_MODEL, None
        if target.pruned or target.clustered:
            with job.lap("finetune"):
                model, sparsity = _finetuned(job)
        with job.lap("convert"):
            content = _converted(job, model)
            served = _served(job, model, content) if target is Target.INT8 else None
    except convert.ConversionError as error:
        return Variant(target=target, refused=str(error), seconds=job.seconds)
    (output / MODEL_FILE).write_bytes(content)
    return Variant(
        target=target,
        operators=operator_counts(content),
        float_operators=float_operators(content),
        served_float_operators=float_operators(served, float_interface=True) if served else (),
        sparsity=sparsity,
        calibrated_on=_rows(job.calibration),
        seconds=job.seconds,
    )


def _converted(job: _Job, saved_model: Path) -> bytes:
    from nightshift.compression import convert

    target = job.recipe.target
    if target.full_integer:
        assert job.calibration is not None
        return convert.to_int8(saved_model, job.calibration)
    if target is Target.FLOAT16:
        return convert.to_float16(saved_model)
    if target is Target.DYNAMIC:
        return convert.to_dynamic(saved_model)
    return convert.to_float(saved_model)


def _finetuned(job: _Job) -> tuple[Path, float | None]:
    """The SavedModel of the model fitted further; the share of zeros where it was pruned."""
    from nightshift.compression.finetune import finetune, sparsity_of
    from nightshift.compression.lesson import lesson_of
    from nightshift.training.export import export
    from nightshift.training.fit import seed_everything
    from nightshift.training.kept_model import KEPT_MODEL, rebuild_model

    context, request = job.context, job.context.request
    tuned = context.input("train").manifest.facts.get("tuned") or {}
    training = request.section("training", Training).tuned(tuned)
    seed_everything(training.seed)
    model = rebuild_model(
        job.trained / KEPT_MODEL,
        request.folder,
        training.parameters,
        len(job.reader.label.classes),
    )
    lesson = lesson_of(
        job.snapshot, job.reader, training, job.recipe.finetune_epochs or 1, context.work / "train"
    )
    fitted = finetune(model, job.recipe, lesson, context.log)
    folder = context.work / "fitted"
    export(fitted, job.reader.features, folder)
    return folder, sparsity_of(fitted) if job.recipe.target.pruned else None


def _served(job: _Job, saved_model: Path, integer: bytes) -> bytes:
    """The version's folder for model servers: float in and out, integers inside."""
    from nightshift.compression import convert
    from nightshift.compression.golden import golden_of_variant
    from nightshift.compression.litert import LiteModel
    from nightshift.training.golden import GOLDEN_FILE, Golden, write_golden

    assert job.calibration is not None
    content = convert.to_int8(saved_model, job.calibration, float_interface=True)
    path = job.context.output / SERVED_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    warmup = job.trained / _SAVED_MODEL / _WARMUP
    if warmup.is_dir():
        shutil.copytree(warmup, path.parent / _WARMUP)
    golden = Golden.model_validate_json((job.trained / GOLDEN_FILE).read_bytes())
    step = float(LiteModel(integer).output["quantization"][0])
    write_golden(
        job.context.output / GOLDEN_FILE,
        golden_of_variant(golden, content, step, job.reader.features),
    )
    return content


def _rows(calibration: dict[str, NDArray[Any]] | None) -> int:
    return len(next(iter(calibration.values()))) if calibration else 0


def _log(context: StepContext, variant: Variant) -> None:
    if variant.refused:
        context.log.warning(
            "%s: the converter refuses the model: %s", variant.target, variant.refused
        )
        return
    size = (context.output / MODEL_FILE).stat().st_size
    context.log.info("%s: %d bytes, operators %s", variant.target, size, variant.operators)
    if variant.target.full_integer:
        for op in variant.float_operators:
            context.log.warning("%s: fell back to float: %s", variant.target, op)


def _metrics(output: Path, variant: Variant) -> dict[str, float]:
    found = {
        f"{variant.target}.bytes": output / MODEL_FILE,
        "float.bytes": output / BASELINE_FILE,
    }
    sizes = {name: float(path.stat().st_size) for name, path in found.items() if path.exists()}
    return {**sizes, f"{variant.target}.float_operators": float(len(variant.float_operators))}


def _facts(variant: Variant) -> dict[str, Any]:
    return json.loads(variant.model_dump_json())  # type: ignore[no-any-return]
