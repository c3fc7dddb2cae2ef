"""Images and classes: bytes in the lake, pixels in the model, one probability per class out."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tf_keras

from nightshift.definition.model import FeatureType
from nightshift.definition.training import Training
from nightshift.errors import BadDataError, BadDefinitionError
from nightshift.training import saved_model
from nightshift.training.dataset import from_files, from_memory
from nightshift.training.examples import Examples, concatenate, rows_at_once
from nightshift.training.export import export, write_warmup
from nightshift.training.features import FeatureStatistics, compute_statistics
from nightshift.training.fit import fit, seed_everything
from nightshift.training.golden import Golden, as_json, golden_rows, write_golden
from nightshift.training.keep import cells_of, fits_in_memory
from nightshift.training.model_file import build_model
from nightshift.training.order import Order
from nightshift.training.probabilities import check_probabilities
from nightshift.training.saved_model import Input, Predictor
from tests.unit.training.small_data import READER as PLAIN_READER
from tests.unit.training.small_data import write_files
from tests.unit.training.small_images import (
    CLASSES,
    FEATURES,
    LABEL,
    MODEL,
    READER,
    SHAPE,
    columns,
    examples,
    pixels,
)

LOG = logging.getLogger("test")
SIZE = 40


def _read(folder: Path, **changes: Any) -> Examples:
    files = write_files(folder, [{**columns(6), **changes}])
    return READER.examples(concatenate(READER.batches(files)))


def _statistics(*parts: dict[str, Any]) -> FeatureStatistics:
    batches = [READER.checked(pa.RecordBatch.from_pydict(part), "f") for part in parts]
    return compute_statistics(batches, FEATURES)["image"]


def _model(folder: Path, text: str = MODEL) -> tf_keras.Model:
    folder.mkdir(exist_ok=True)
    (folder / "model.py").write_text(text)
    statistics = {"image": _statistics(columns(10))}
    return build_model(folder, statistics, {}, len(CLASSES))


@pytest.mark.parametrize("type_", [pa.binary(), pa.large_binary(), pa.binary(SIZE)])
def test_every_byte_reaches_its_pixel(type_: pa.DataType, tmp_path: Path) -> None:
    found = _read(tmp_path, image=pa.array(columns(6)["image"], type_))
    images, places = pixels(6)
    assert found.inputs["image"].dtype == np.uint8
    assert np.array_equal(found.inputs["image"], images)
    assert found.labels.tolist() == places.tolist()


def test_a_part_of_a_column_keeps_its_own_rows() -> None:
    batch = READER.checked(pa.RecordBatch.from_pydict(columns(6)), "f").slice(2, 3)
    assert np.array_equal(READER.examples(batch).inputs["image"], pixels(6)[0][2:5])


@pytest.mark.parametrize(
    ("image", "words", "value"),
    [
        ([b"x" * SIZE, b"x" * 39, b"x" * 41], r"39 bytes in the first of 2 wrong rows, of 3", 39),
        ([b"x" * SIZE, None, b"x" * SIZE], "no value in the first of 1 wrong rows, of 3", None),
        (["a", "b", "c"], r"holds string, pipeline.yaml expects image \(binary\)", "string"),
    ],
)
def test_wrong_images_are_refused_by_file_column_value_and_limit(
    tmp_path: Path, image: list[Any], words: str, value: Any
) -> None:
    with pytest.raises(BadDataError, match=words) as caught:
        _read(tmp_path, image=image, place=[0, 1, 2])
    assert caught.value.facts["file"] == "small/date=2013-01-01/part-0.parquet"
    assert caught.value.facts["column"] == "image"
    assert caught.value.facts["value"] == value
    assert caught.value.facts["limit"] in (SIZE, "image (binary)")


def test_a_label_without_a_class_is_refused(tmp_path: Path) -> None:
    words = r"'place' holds 2 values that are no number of a class, such as 3; .* names 3"
    with pytest.raises(BadDataError, match=words):
        _read(tmp_path, place=[0, 1, 2, 3, -1, 0])
    with pytest.raises(BadDataError, match="holds 1 values"):
        _read(tmp_path, place=[0, 1, 2, 0.5, 1, 0])


def test_large_images_are_read_a_few_at_a_time() -> None:
    wide = {"image": FEATURES["image"].model_copy(update={"shape": (1024, 1024, 3)})}
    assert rows_at_once(wide) == 21
    assert rows_at_once(PLAIN_READER.features) == rows_at_once(FEATURES) == 65_536


def test_statistics_are_of_all_pixels_however_they_are_parted() -> None:
    images = pixels(50)[0]
    whole = columns(50)
    parts = [{n: v[:13] for n, v in whole.items()}, {n: v[13:] for n, v in whole.items()}]
    found = _statistics(*parts)
    assert (found.count, found.missing, found.vocabulary) == (50, 0, ())
    assert found.mean == pytest.approx(images.mean(dtype=np.float64), rel=1e-12)
    assert found.variance == pytest.approx(images.var(dtype=np.float64), rel=1e-12)
    assert (found.minimum, found.maximum) == (images.min(), images.max())
    assert (found.shape, found.dtype, found.type) == (SHAPE, "float32", FeatureType.IMAGE)


def test_sixty_thousand_images_of_28_by_28_are_kept_in_memory() -> None:
    assert cells_of(READER) == 2 + SIZE // 16
    assert fits_in_memory(60_000, 2 + 784 // 16)
    assert not fits_in_memory(60_000, 2 + 224 * 224 * 3 // 16)


@pytest.mark.parametrize("streamed", [False, True])
def test_batches_hold_each_image_once_with_its_class_as_float(
    streamed: bool, tmp_path: Path
) -> None:
    order = Order((13, 7), batch_size=8, seed=3, pool_rows=9)
    if streamed:
        files = write_files(tmp_path, [columns(13, 1), columns(7, 2)])
        batches = from_files(READER, lambda numbers: [files[n] for n in numbers], order, epochs=1)
        both = [pixels(13, 1), pixels(7, 2)]
        images, places = (np.concatenate(parts) for parts in zip(*both, strict=True))
    else:
        batches, (images, places) = from_memory(examples(20), order, epochs=1), pixels(20)
    expected = {image.tobytes(): place for image, place in zip(images, places, strict=True)}
    seen: dict[bytes, float] = {}
    for inputs, labels in batches.dataset:
        assert inputs["image"].dtype == tf.float32
        for image, label in zip(inputs["image"].numpy(), labels.numpy(), strict=True):
            seen[image.astype(np.uint8).tobytes()] = label.item()
    assert seen == expected


def test_it_learns_the_classes(tmp_path: Path) -> None:
    seed_everything(1)
    model = _model(tmp_path / "images")
    order = Order((300,), batch_size=32, seed=1, pool_rows=300)
    batches = from_memory(examples(300), order, epochs=8)
    epochs = fit(model, batches, Training(epochs=8, learning_rate=0.02), LABEL, LOG)
    assert epochs[-1].accuracy > 0.95
    assert epochs[-1].auc is None
    assert epochs[-1].loss < epochs[0].loss < 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("image.shape,", "(5, 4, 2),", r"has shape \[None, 5, 4, 2\].*expected shape \[None, 4, 5"),
        ("dtype=image.dtype", "dtype='uint8'", r"and type uint8; expected .* type float32"),
        ("Dense(3", "Dense(4", r"has shape \[None, 4\] .*; expected \[None, 3\] and float32"),
        ('name="image"', 'name="photo"', r"expected tf_keras.Input\(\(4, 5, 2\), name='image'"),
    ],
)
def test_a_model_that_does_not_fit_is_explained(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadDefinitionError, match=message):
        _model(tmp_path / "images", MODEL.replace(old, new))


def test_classes_that_do_not_add_up_are_no_probabilities() -> None:
    right = np.array([[0.2, 0.3, 0.5], [0, 1, 0]], np.float32)
    check_probabilities(right, "images")
    with pytest.raises(BadDefinitionError, match=r"of 1 of 2 rows do not add up to 1 .*softmax"):
        check_probabilities(right * np.array([[1], [0.9]], np.float32), "images")
    with pytest.raises(BadDefinitionError, match=r"is -0\.5 for 1 of 3 answers.*Dense\(3, activat"):
        check_probabilities(np.array([[1.0, 0.5, -0.5]]), "images")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[tf_keras.Model, Path]:
    folder = tmp_path_factory.mktemp("saved")
    model = _model(folder / "images")
    export(model, FEATURES, folder / "saved_model")
    return model, folder / "saved_model"


def test_the_signature_takes_images_and_gives_a_probability_per_class(
    saved: tuple[tf_keras.Model, Path],
) -> None:
    signature = tf.saved_model.load(str(saved[1])).signatures["serving_default"]
    (spec,) = signature.structured_input_signature[1].values()
    assert (spec.name, spec.shape.as_list(), spec.dtype) == ("image", [None, *SHAPE], tf.float32)
    assert signature.structured_outputs["probability"].shape.as_list() == [None, len(CLASSES)]


def test_bytes_and_floats_are_answered_as_the_fitted_model_does(
    saved: tuple[tf_keras.Model, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, folder = saved
    images = pixels(25)[0]
    direct = model({"image": tf.constant(images, tf.float32)}).numpy()
    predictor = Predictor(folder)
    assert predictor.inputs == {"image": Input("float32", SHAPE)}
    assert predictor.classes == len(CLASSES)
    np.testing.assert_allclose(predictor.predict({"image": images}), direct, atol=1e-6)
    monkeypatch.setattr(saved_model, "PREDICTION_PIXELS", 7 * SIZE)  # seven rows at a time
    floats: Any = images.astype(np.float32)
    np.testing.assert_allclose(predictor.predict({"image": floats}), direct, atol=1e-6)


def test_warmup_requests_have_the_signatures_type(tmp_path: Path) -> None:
    from tensorflow_serving.apis import prediction_log_pb2

    write_warmup(tmp_path, "images", [{"image": pixels(3)[0]}])
    path = tmp_path / "assets.extra" / "tf_serving_warmup_requests"
    (record,) = tf.data.TFRecordDataset(str(path))
    log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
    sent = tf.make_ndarray(log.predict_log.request.inputs["image"])
    assert sent.dtype == np.float32
    assert np.array_equal(sent, pixels(3)[0])


def test_golden_requests_hold_nested_numbers_that_lose_nothing(
    saved: tuple[tf_keras.Model, Path], tmp_path: Path
) -> None:
    holdout = examples(40)
    rows = golden_rows(holdout, FEATURES, 5)
    images = holdout.inputs["image"][rows]
    answers = Predictor(saved[1]).predict({"image": images})
    golden = Golden(
        signature="serving_default",
        inputs={"image": as_json(images)},
        outputs={"probability": as_json(answers)},
        tolerance=1e-5,
    )
    write_golden(tmp_path / "golden.json", golden)
    read = json.loads((tmp_path / "golden.json").read_text())
    assert isinstance(read["inputs"]["image"][0][0][0][0], float)
    assert np.array_equal(np.array(read["inputs"]["image"]), images)
    assert np.array_equal(np.array(read["outputs"]["probability"], np.float32), answers)
