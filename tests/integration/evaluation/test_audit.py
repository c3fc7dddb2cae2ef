"""The audit: TFMA measures what the night measured, in crossed slices too, and must agree."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nightshift.artifacts import ArtifactStore
from nightshift.artifacts.manifest import ArtifactRef
from nightshift.definition.load import load_pipeline
from nightshift.definition.model import PipelineDefinition
from nightshift.errors import ErrorKind
from nightshift.evaluation.audit import AUDIT_FILE, Audit
from nightshift.evaluation.comparison import Comparison
from nightshift.evaluation.measure import measure
from nightshift.evaluation.predictions import PREDICTIONS_FILE, Predictions
from nightshift.evaluation.result import METRICS_FILE, Evaluation
from nightshift.runtimes import Runtime, python_of
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.launch import StepProcess
from nightshift.steps.plan import plan_step
from tests.integration.servers import S3

NIGHT = date(2013, 8, 31)
ROWS = 400
SLICES = (
    "carrier",
    {"column": "distance", "edges": [500, 1500]},
    {"cross": ["carrier", {"column": "distance", "edges": [1000]}]},
)
SENSITIVE = ({"column": "origin", "values": ["JFK", "LGA"]},)


@pytest.fixture(scope="module")
def predictions() -> Predictions:
    """A night of few rows: labels of one kind alone in some groups, sure errors, an unknown."""
    draw = np.random.default_rng(8)
    scores = draw.beta(2, 5, (2, ROWS)).astype(np.float32)
    scores[0, :3] = (0.0, 1.0, 0.95)
    labels = (draw.random(ROWS) < scores[0]).astype(np.float32)
    labels[:3] = (1, 0, 1)  # in one bin a score of 1 offsets one below it
    distance = [str(n) for n in draw.integers(100, 2600, ROWS)]
    distance[5] = "(missing)"
    return Predictions(
        labels=labels,
        slices={
            "carrier": pa.array([*draw.choice(["UA", "AA", "B6"], ROWS - 3).tolist(), *["OO"] * 3]),
            "distance": pa.array(distance),
            "origin": pa.array(draw.choice(["JFK", "LGA", "EWR"], ROWS).tolist()),
        },
        candidate=scores[0],
        champion=scores[1],
    )


@pytest.fixture(scope="module")
def definition() -> PipelineDefinition:
    flights = load_pipeline("flights")
    fields = flights.model_dump(mode="json") | {
        "slices": SLICES,
        "sensitive": SENSITIVE,
        "gates": [{"metric": "auc", "floor": 0.5}],
        "evaluation": {"threshold": 0.3, "replicates": 200, "min_slice_size": 10, "audit": True},
        "folder": flights.folder,
    }
    return PipelineDefinition.model_validate(fields)


def _measured(predictions: Predictions, definition: PipelineDefinition) -> Evaluation:
    slicings = (*definition.slices, *definition.sensitive)
    return measure(
        Comparison(predictions, slicings, definition.evaluation),
        slices=definition.slices,
        sensitive=definition.sensitive,
        pipeline="flights",
        night=NIGHT,
        champion_version=1,
        no_champion="",
    )


def _audit(
    s3: S3, folder: Path, definition: PipelineDefinition, evaluation: Evaluation, table: Predictions
) -> StepResult:
    """Commit the evaluation as its step does, then run the audit in its own process."""
    store = ArtifactStore(s3.artifacts)
    folder.mkdir()
    table.write(folder / PREDICTIONS_FILE)
    (folder / METRICS_FILE).write_text(evaluation.model_dump_json(), encoding="utf-8")
    request = StepRequest(
        step="evaluate",
        pipeline="flights",
        night=NIGHT,
        key=folder.name,
        attempt="1",
        folder=definition.folder,
    )
    reference = store.commit(request.draft("evaluation", request.key), folder).ref
    planned = plan_step(STEPS["audit"], definition, NIGHT, {"evaluate": reference})
    return StepProcess(planned, dict(os.environ)).run(print)


def test_a_night_that_both_measure_alike_passes(
    s3: S3, tmp_path: Path, definition: PipelineDefinition, predictions: Predictions
) -> None:
    evaluation = _measured(predictions, definition)
    result = _audit(s3, tmp_path / "true", definition, evaluation, predictions)
    assert result.error is None, result.error
    store = ArtifactStore(s3.artifacts)
    assert isinstance(result.artifact, ArtifactRef)
    audit = Audit.model_validate_json(store.read(store.open(result.artifact), AUDIT_FILE))
    compared = {line.worst.metric for line in audit.largest}
    assert {"auc", "pr_auc", "calibration_error", "log_loss", "flip_rate", "tpr_gap"} <= compared
    sliced = {line.worst.metric: line.compared for line in audit.largest if line.worst.slice}
    groups = len(evaluation.slices)
    # Carriers; buckets and the missing; these crossed, as far as there are rows; origins.
    assert groups >= 4 + 4 + 6 + 2
    assert sliced["rows"] == sliced["recall"] == 2 * groups


def test_a_false_number_in_one_crossed_group_is_found_and_named(
    s3: S3, tmp_path: Path, definition: PipelineDefinition, predictions: Predictions
) -> None:
    evaluation = _measured(predictions, definition)
    crossed = next(g for g in evaluation.slices if g.slice == "carrier x distance")
    assert crossed.candidate.accuracy is not None
    false = crossed.candidate.model_copy(update={"accuracy": crossed.candidate.accuracy + 1e-5})
    spoiled = [
        g if g is not crossed else g.model_copy(update={"candidate": false})
        for g in evaluation.slices
    ]
    told = evaluation.model_copy(update={"slices": tuple(spoiled)})
    result = _audit(s3, tmp_path / "false", definition, told, predictions)
    assert result.error is not None
    assert result.error.kind is ErrorKind.GATE_FAILED
    assert f"accuracy of candidate [carrier x distance = {crossed.value}]" in result.error.message


def test_calling_tfmas_metrics_gives_what_its_pipeline_gives(
    tmp_path: Path, definition: PipelineDefinition, predictions: Predictions
) -> None:
    held = predictions.candidate.clip(1e-3, 1 - 1e-3)
    some = Predictions(predictions.labels, predictions.slices, held, None)
    some.write(tmp_path / PREDICTIONS_FILE)
    slicings = [s.model_dump(mode="json") for s in (*definition.slices, *definition.sensitive)]
    (tmp_path / "pipeline.json").write_text(json.dumps(slicings), encoding="utf-8")
    script = Path(__file__).with_name("run_tfma.py")
    done = subprocess.run(
        [python_of(Runtime.VALIDATION), script, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": "include", "TF_USE_LEGACY_KERAS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["compared"] > 200
    assert told["largest"] < 1e-12
