"""Step ``train`` as Airflow runs it: a process, a snapshot on S3, an artifact or one error."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from nightshift.errors import ErrorKind
from nightshift.steps.contract import StepContext
from nightshift.training import keep
from nightshift.training.golden import Golden
from tests.integration.training.conftest import Trained
from tests.integration.training.small_night import DAYS, HOLDOUT_DAYS, ROWS_PER_DAY, SmallNight
from tests.unit.training.small_data import MODEL


def test_it_leaves_a_model_golden_answers_and_its_history(trained: Trained, tmp_path: Path) -> None:
    folder = trained.night.fetch(trained.model, tmp_path)
    assert (folder / "saved_model/saved_model.pb").is_file()
    assert (folder / "saved_model/assets.extra/tf_serving_warmup_requests").is_file()
    history = json.loads((folder / "history.json").read_text())
    assert [epoch["number"] for epoch in history] == [1, 2]
    labelled = (DAYS - HOLDOUT_DAYS) * (ROWS_PER_DAY - 7)
    assert trained.result.facts["rows"] == labelled
    assert trained.result.metrics["train_rows"] == labelled
    assert trained.result.metrics["train_loss"] == history[-1]["loss"]


def test_every_epoch_is_told_while_it_runs(trained: Trained) -> None:
    told = [line for line in trained.lines if line.startswith("epoch")]
    assert len(told) == 2
    assert re.fullmatch(r"epoch 2/2 loss \d\.\d+ auc \d\.\d+ accuracy \d\.\d+ \d+\.\d s", told[1])


def test_golden_answers_are_what_the_saved_model_gives_elsewhere(
    trained: Trained, tmp_path: Path
) -> None:
    from nightshift.training.saved_model import Predictor

    folder = trained.night.fetch(trained.model, tmp_path)
    golden = Golden.model_validate_json((folder / "golden.json").read_bytes())
    inputs = {
        "colour": np.array(golden.inputs["colour"], object),
        "size": np.array(golden.inputs["size"], np.int64),
        "weight": np.array(golden.inputs["weight"], np.float32),
    }
    assert golden.signature == "serving_default"
    assert len(golden.outputs["probability"]) == 16
    answers = Predictor(folder / "saved_model").predict(inputs)
    np.testing.assert_allclose(answers, golden.outputs["probability"], atol=1e-6)


def test_the_same_snapshot_and_seed_make_the_same_model_in_another_process(
    trained: Trained, tmp_path: Path
) -> None:
    night = trained.night
    again = night.run("train", {"snapshot": trained.snapshot}, nonce="again")
    assert again.artifact is not None
    assert again.artifact.key != trained.model.key
    first = night.fetch(trained.model, tmp_path / "first") / "golden.json"
    second = night.fetch(again.artifact, tmp_path / "second") / "golden.json"
    assert first.read_bytes() == second.read_bytes()


def test_what_was_trained_is_reused_without_a_process(trained: Trained) -> None:
    again = trained.night.run("train", {"snapshot": trained.snapshot})
    assert again.reused
    assert again.artifact == trained.model
    assert trained.night.lines == []


def test_a_model_file_that_raises_ends_in_one_error_and_no_artifact(
    trained: Trained, tmp_path: Path
) -> None:
    night = SmallNight(trained.night.s3, tmp_path / "small")
    night.write_model(MODEL.replace("layers.Dense(8", "layers.Dens(8"))
    result = night.run("train", {"snapshot": trained.snapshot})
    assert result.artifact is None
    assert result.error is not None
    assert result.error.kind is ErrorKind.BAD_DEFINITION
    assert re.match(r"small/model.py, line 11: AttributeError: .*Dens", result.error.message)
    assert "Traceback" not in "\n".join(night.lines)


def test_bad_values_end_in_one_error_that_names_file_and_column(trained: Trained) -> None:
    night = trained.night

    def hole(rows: dict[str, list[float]]) -> dict[str, list[float]]:
        return {**rows, "weight": [float("nan"), *rows["weight"][1:]]}

    result = night.run("train", {"snapshot": night.snapshot(change=hole)})  # type: ignore[arg-type]
    assert result.error is not None
    assert result.error.kind is ErrorKind.BAD_DATA
    assert result.error.facts["column"] == "weight"
    assert result.error.facts["file"] == "small/date=2013-01-06/part-0.parquet"


def test_a_window_too_large_to_keep_is_streamed(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nightshift.training import train

    monkeypatch.setattr(keep, "IN_MEMORY_CELLS", 0)
    request = trained.night.request("train", {"snapshot": trained.snapshot}, nonce="streamed")
    output = tmp_path / "output"
    output.mkdir()
    outcome = train.run(StepContext(request, trained.night.store, output, tmp_path))
    assert outcome.facts["in_memory"] is False
    assert outcome.facts["rows"] == trained.result.facts["rows"]
    assert outcome.metrics["train_auc"] > 0.7
