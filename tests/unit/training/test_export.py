"""The exported model: raw named vectors in, probabilities out, warm-up beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow_serving.apis import prediction_log_pb2

from nightshift.errors import BadDefinitionError
from nightshift.training.export import export, write_warmup
from nightshift.training.features import compute_statistics
from nightshift.training.model_file import build_model
from nightshift.training.saved_model import PREDICTION_ROWS, Predictor
from tests.unit.training.small_data import (
    FEATURES,
    MODEL,
    READER,
    columns,
    examples,
    write_files,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tf_keras.Model:
    folder = tmp_path_factory.mktemp("model")
    (folder / "model.py").write_text(MODEL)
    batches = READER.batches(write_files(folder / "data", [columns(50)]))
    return build_model(folder, compute_statistics(batches, FEATURES), {})


@pytest.fixture(scope="module")
def saved(model: tf_keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "saved_model"
    export(model, FEATURES, folder)
    return folder


def test_the_signature_takes_each_raw_feature_as_a_vector(saved: Path) -> None:
    signature = tf.saved_model.load(str(saved)).signatures["serving_default"]
    inputs = signature.structured_input_signature[1]
    assert {n: (s.shape.as_list(), s.dtype) for n, s in inputs.items()} == {
        "colour": ([None], tf.string),
        "size": ([None], tf.int64),
        "weight": ([None], tf.float32),
    }
    assert list(signature.structured_outputs) == ["probability"]
    assert signature.structured_outputs["probability"].shape.as_list() == [None]


def test_the_exported_model_answers_as_the_fitted_one(saved: Path, model: tf_keras.Model) -> None:
    inputs = examples(40, seed=7).inputs
    direct = model({n: tf.constant(v)[:, None] for n, v in inputs.items()}).numpy()[:, 0]
    np.testing.assert_allclose(Predictor(saved).predict(inputs), direct, atol=1e-7)


def test_an_unseen_category_gets_an_answer(saved: Path) -> None:
    inputs = {**examples(1).inputs, "colour": np.array(["ultraviolet"], dtype=object)}
    assert 0 < Predictor(saved).predict(inputs)[0] < 1


def test_many_rows_are_asked_in_parts_and_come_back_in_order(saved: Path) -> None:
    inputs = examples(PREDICTION_ROWS + 3).inputs
    predictor = Predictor(saved)
    last = predictor.predict({name: values[-5:] for name, values in inputs.items()})
    np.testing.assert_allclose(predictor.predict(inputs)[-5:], last, atol=1e-7)


def test_warmup_requests_are_what_a_model_server_reads(saved: Path) -> None:
    inputs = examples(3).inputs
    write_warmup(saved, "small", [{n: v[:1] for n, v in inputs.items()}, inputs])
    path = saved / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path))
    ]
    requests = [log.predict_log.request for log in logs]
    assert [r.model_spec.signature_name for r in requests] == ["serving_default"] * 2
    assert tf.make_ndarray(requests[1].inputs["weight"]).tolist() == inputs["weight"].tolist()
    assert [len(tf.make_ndarray(r.inputs["colour"])) for r in requests] == [1, 3]


def test_a_model_without_the_signature_is_refused(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(BadDefinitionError, match="expected 'serving_default'"):
        Predictor(tmp_path / "empty")
