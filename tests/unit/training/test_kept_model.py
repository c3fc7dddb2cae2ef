"""The Keras model that is kept beside its export can be had again, and no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from nightshift.errors import BadDefinitionError
from nightshift.training.features import compute_statistics
from nightshift.training.kept_model import keep_model, rebuild_model
from nightshift.training.model_file import build_model
from tests.unit.training.small_data import FEATURES, MODEL, READER, columns, examples, write_files


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    batches = READER.batches(write_files(tmp_path / "data", [columns(50)]))
    statistics = compute_statistics(batches, FEATURES)
    model = build_model(folder, statistics, {})
    keep_model(model, statistics, tmp_path / "kept")
    answers = model({n: tf.constant(v)[:, None] for n, v in examples(20).inputs.items()})
    np.save(tmp_path / "answers.npy", answers.numpy())
    return folder


def test_the_rebuilt_model_answers_as_the_fitted_one(pipeline: Path, tmp_path: Path) -> None:
    model = rebuild_model(tmp_path / "kept", pipeline, {})
    answers = model({n: tf.constant(v)[:, None] for n, v in examples(20).inputs.items()})
    np.testing.assert_array_equal(answers.numpy(), np.load(tmp_path / "answers.npy"))


def test_a_model_file_that_builds_another_model_is_named(pipeline: Path, tmp_path: Path) -> None:
    (pipeline / "model.py").write_text(MODEL.replace("Dense(8,", "Dense(9,"))
    with pytest.raises(BadDefinitionError, match=r"small/model\.py builds .* of other shapes"):
        rebuild_model(tmp_path / "kept", pipeline, {})
