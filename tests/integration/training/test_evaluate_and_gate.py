"""Steps ``evaluate`` and ``gate`` as processes: the first night, a later one, and a bad one."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.evaluation.metrics import auc, log_loss
from nightshift.evaluation.result import Evaluation
from nightshift.steps.contract import StepResult
from tests.integration.training.conftest import Trained
from tests.integration.training.small_night import (
    HOLDOUT_DAYS,
    ROWS_PER_DAY,
    SmallNight,
    candidate,
)
from tests.unit.training.small_data import MODEL

Judged = tuple[StepResult, dict[str, ArtifactRef]]
"""The evaluation's result, and what the gate takes."""
MODEL_WITHOUT_SIZE = MODEL.replace(
    "Concatenate()([colour, size,", "Concatenate()([colour,"
).replace("""    size = layers.Flatten()(layers.Embedding(8, 2)(inputs["size"]))\n""", "")


def _evaluate(trained: Trained, champion: int | None = None) -> Judged:
    """Evaluate the model against itself as champion, or against none."""
    pinned = candidate(champion, trained.model) if champion else None
    snapshot = trained.night.snapshot(pinned) if pinned else trained.snapshot
    inputs = {"snapshot": snapshot, "train": trained.model}
    result = trained.night.run("evaluate", inputs)
    assert result.artifact is not None, result.error
    statistics = trained.night.statistics(["a new colour"], colour=0.02, size=0.01)
    return result, {**inputs, "statistics": statistics, "evaluate": result.artifact}


@pytest.fixture(scope="module")
def first_night(trained: Trained) -> Judged:
    return _evaluate(trained)


@pytest.fixture(scope="module")
def second_night(trained: Trained) -> Judged:
    return _evaluate(trained, champion=3)


def test_the_metrics_are_those_of_the_written_table(
    trained: Trained,
    first_night: Judged,
    tmp_path: Path,
) -> None:
    result, _ = first_night
    folder = trained.night.fetch(result.artifact, tmp_path)
    table = pq.read_table(folder / "predictions.parquet")
    assert len(table) == HOLDOUT_DAYS * (ROWS_PER_DAY - 7)
    labels, scores = table["label"].to_numpy(), table["candidate"].to_numpy()
    assert result.metrics["auc"] == pytest.approx(auc(labels, scores), abs=1e-12)
    assert result.metrics["log_loss"] == pytest.approx(log_loss(labels, scores), abs=1e-12)
    assert result.metrics["auc"] > 0.8
    evaluation = Evaluation.model_validate_json((folder / "metrics.json").read_bytes())
    assert sum(group.rows for group in evaluation.groups("colour")) == len(table)


def test_on_the_first_night_floors_decide_alone(trained: Trained, first_night) -> None:  # type: ignore[no-untyped-def]
    result, inputs = first_night
    assert result.facts["champion_version"] is None
    assert "champion_auc" not in result.metrics
    gate = trained.night.run("gate", inputs)
    assert gate.error is None
    assert gate.facts["verdict"] == "passed"
    assert [rule["ruling"] for rule in gate.facts["rules"]] == [
        "passed",
        "skipped",
        *["passed"] * 3,
    ]


def test_the_same_model_as_champion_measures_the_same(trained: Trained, second_night) -> None:  # type: ignore[no-untyped-def]
    result, inputs = second_night
    assert result.facts["champion_version"] == 3
    assert result.metrics["champion_auc"] == result.metrics["auc"]
    gate = trained.night.run("gate", inputs)
    assert [rule["ruling"] for rule in gate.facts["rules"]] == ["passed"] * 5
    assert gate.metrics["champion_auc"] == gate.metrics["auc"]


def test_reports_are_published_and_name_what_was_compared(
    trained: Trained,
    second_night: Judged,
) -> None:
    result, inputs = second_night
    gate = trained.night.run("gate", inputs)
    for step, title in ((result, "Evaluation report"), (gate, "Gate report")):
        key = step.reports[title].split("/", 3)[3]
        page = trained.night.s3.artifacts.get(key).body.decode()
        assert "version 3" in page
        assert "small, night of 2013-01-10" in page


def test_the_gate_knows_the_night_and_what_its_data_report_warned_of(
    trained: Trained,
    second_night: Judged,
) -> None:
    night = trained.night
    gates = [
        {"metric": "auc", "floor": 0.5},
        {"metric": "holdout_rows", "floor": HOLDOUT_DAYS * (ROWS_PER_DAY - 7)},
        {"metric": "holdout_drift", "ceiling": 0.01},
        {"metric": "data_warnings", "ceiling": 0, "warn_only": True},
        {"metric": "champion_age_days", "ceiling": 1},
        {"metric": "model_megabytes", "ceiling": 100},
    ]
    result = night.run("gate", second_night[1], night.definition(gates=gates))
    assert [(r["metric"], r["ruling"]) for r in result.facts["rules"]] == [
        ("auc", "passed"),
        ("holdout_rows", "passed"),
        ("holdout_drift", "failed"),
        ("data_warnings", "failed"),
        ("champion_age_days", "passed"),
        ("model_megabytes", "passed"),
    ]
    assert result.facts["verdict"] == "failed"
    assert "1 of 6 gate rules failed" in result.facts["message"]
    page = night.s3.artifacts.get(result.reports["Gate report"].split("/", 3)[3]).body.decode()
    assert "a new colour" in page


def test_a_failed_gate_names_rule_value_limit_and_slice_and_is_kept(
    trained: Trained,
    second_night: Judged,
) -> None:
    night = trained.night
    gates = [
        {"metric": "auc", "floor": 0.5},
        {"metric": "auc", "floor": 0.999, "slice": "colour", "minimum_rows": 50},
    ]
    result = night.run("gate", second_night[1], night.definition(gates=gates))
    assert result.artifact is not None
    assert result.facts["verdict"] == "failed"
    message = result.facts["message"]
    assert "3 of 4 gate rules failed" in message
    assert "auc by colour >= 0.999 [colour = red" in message
    assert "limit >= 0.999: failed" in message
    assert message.endswith("Champion version 3 goes on serving.")
    page = night.s3.artifacts.get(result.reports["Gate report"].split("/", 3)[3]).body.decode()
    assert 'class="badge failed"' in page


def test_a_champion_that_needs_a_dropped_feature_is_not_compared_and_that_is_said(
    trained: Trained, tmp_path: Path
) -> None:
    night = SmallNight(trained.night.s3, tmp_path / "small")
    night.write_model(MODEL_WITHOUT_SIZE)
    smaller = night.definition(features={"colour": "string", "weight": "float"})
    snapshot = night.snapshot(candidate(3, trained.model))
    model = night.run("train", {"snapshot": snapshot}, smaller).artifact
    assert model is not None, night.lines
    result = night.run("evaluate", {"snapshot": snapshot, "train": model}, smaller)
    assert result.facts["champion_version"] is None
    assert result.facts["no_champion"] == (
        "champion version 3 asks for 'size', which the pipeline no longer declares"
    )
    assert result.artifact is not None
    inputs = {"snapshot": snapshot, "train": model, "statistics": night.statistics()}
    gate = night.run("gate", {**inputs, "evaluate": result.artifact}, smaller)
    margin = gate.facts["rules"][1]
    assert (margin["ruling"], margin["reason"]) == ("skipped", result.facts["no_champion"])


def test_what_is_pinned_is_what_is_compared(trained: Trained, second_night, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    result, _ = second_night
    folder = trained.night.fetch(result.artifact, tmp_path)
    table = pq.read_table(folder / "predictions.parquet")
    assert table["candidate"].equals(table["champion"])
    assert json.loads((folder / "metrics.json").read_text())["champion_version"] == 3
