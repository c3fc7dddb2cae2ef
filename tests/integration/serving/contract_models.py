"""The small SavedModels that the contract suite asks for, and the configuration that serves them.

Run as a program it prepares a folder for a server that the suite does not start itself:

    python -m tests.integration.serving.contract_models /tmp/contract
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from nightshift.compression.convert import to_int8

CARRIERS = ("AA", "UA", "DL")


def build_all(folder: Path) -> None:
    """Write every model and `models.config` under one folder."""
    build_half_plus(folder / "half_plus" / "1", 2.0)
    build_half_plus(folder / "half_plus" / "2", 3.0)
    build_delay(folder / "delay" / "1")
    build_answers(folder / "answers" / "1")
    build_slow(folder / "slow" / "1")
    build_pictures(folder / "pictures" / "1", folder / "pictures" / "2")
    (folder / "models.config").write_text(base_config(folder))


def base_config(folder: Path, *more: str) -> str:
    """The configuration of the models above, with further `config { … }` entries."""
    entries = [
        model_entry(
            "half_plus",
            folder / "half_plus",
            versions=(1, 2),
            labels={"stable": 1, "canary": 2},
        ),
        model_entry("delay", folder / "delay"),
        model_entry("answers", folder / "answers"),
        model_entry("slow", folder / "slow"),
        model_entry("pictures", folder / "pictures", versions=(1, 2)),
        *more,
    ]
    return "model_config_list {\n" + "\n".join(entries) + "\n}\n"


def model_entry(
    name: str,
    base_path: Path,
    *,
    versions: Sequence[int] = (),
    policy: str = "",
    labels: Mapping[str, int] | None = None,
) -> str:
    """One `config { … }` entry; no versions and no policy means the latest one."""
    lines = [
        f'name: "{name}"',
        f'base_path: "{base_path}"',
        'model_platform: "tensorflow"',
    ]
    if versions:
        policy = "specific { " + " ".join(f"versions: {version}" for version in versions) + " }"
    if policy:
        lines.append("model_version_policy { " + policy + " }")
    for label, version in (labels or {}).items():
        lines.append(f'version_labels {{ key: "{label}" value: {version} }}')
    return "  config {\n    " + "\n    ".join(lines) + "\n  }"


def build_half_plus(path: Path, addend: float) -> None:
    """`y = x / 2 + addend` on floats of any shape `[n]`; one input, one output."""

    def half_plus(x: Any) -> Any:
        return {"y": x * 0.5 + addend}

    _save(path, serving_default=_function(half_plus, x=_spec(tf.float32)))


def build_delay(path: Path) -> None:
    """A probability from raw named features, as a released pipeline has them.

    Inputs: `carrier` string, `distance` float32, `hour` int64, each `[n]`; `weight` double
    `[n, 1]`. Output: `probability` float32 `[n, 1]`. The carrier goes through a lookup table, so
    the model also shows that tables and their initialisers are loaded.
    """
    module = tf.Module()
    module.table = tf.lookup.StaticVocabularyTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(CARRIERS), tf.range(len(CARRIERS), dtype=tf.int64)
        ),
        num_oov_buckets=1,
    )
    module.bias = tf.Variable([0.1, -0.2, 0.3, 0.7])

    def delay(carrier: Any, distance: Any, hour: Any, weight: Any) -> Any:
        score = tf.gather(module.bias, module.table[carrier])
        score += distance / 1000.0 - tf.cast(hour, tf.float32) / 24.0
        score = tf.reshape(score, [-1, 1]) * tf.cast(weight, tf.float32)
        return {"probability": tf.sigmoid(score)}

    function = _function(
        delay,
        carrier=_spec(tf.string),
        distance=_spec(tf.float32),
        hour=_spec(tf.int64),
        weight=_spec(tf.float64, [None, 1]),
    )
    _save(path, module, serving_default=function)


def build_answers(path: Path) -> None:
    """Several outputs of several types from `features`, float32 `[n, 3]`; two signatures."""

    def answers(features: Any) -> Any:
        total = tf.linalg.matvec(features, [1.0, 10.0, 100.0])
        return {
            "total": total,
            "bucket": tf.cast(total, tf.int64),
            "large": total > 100.0,
            "text": tf.strings.as_string(tf.cast(total, tf.int32)),
            "raw_bytes": tf.fill(tf.shape(total), tf.constant(b"\xff\x00")),
            "pair": tf.stack([total, -total], axis=1),
        }

    def batch_total(features: Any) -> Any:
        return {"total": tf.reduce_sum(features)}

    features = _spec(tf.float32, [None, 3])
    _save(
        path,
        serving_default=_function(answers, features=features),
        batch_total=_function(batch_total, features=features),
    )


def build_slow(path: Path) -> None:
    """Multiplies a matrix `steps` times (int64, `[n]`): as slow as one asks it to be."""

    def slow(steps: Any) -> Any:
        matrix = tf.eye(64)
        for _ in tf.range(steps[0]):
            matrix = tf.matmul(matrix, tf.eye(64))
        return {"trace": tf.reshape(tf.linalg.trace(matrix), [1])}

    _save(path, serving_default=_function(slow, steps=_spec(tf.int64)))


def build_pictures(saved_model: Path, tflite: Path) -> None:
    """Three classes' probabilities of a picture, as a SavedModel and as its INT8 variant.

    Inputs: `picture` float32 `[n, 4, 4, 1]` (0 to 255), `age` float32 `[n]`. Output: `probability`
    float32 `[n, 3]`. The second folder holds a `model.tflite` and no SavedModel; inside it are
    integers, outside the same floats.
    """
    draw = np.random.default_rng(5)
    weights = tf.constant(draw.normal(size=(17, 3)), tf.float32)

    def classify(picture: Any, age: Any) -> Any:
        pixels = tf.reshape(picture, [-1, 16]) / 255.0
        columns = tf.concat([pixels, tf.expand_dims(age, -1) / 100.0], axis=1)
        return {"probability": tf.nn.softmax(tf.matmul(columns, weights))}

    function = _function(
        classify, picture=_spec(tf.float32, [None, 4, 4, 1]), age=_spec(tf.float32)
    )
    _save(saved_model, serving_default=function)
    examples = {
        "picture": draw.uniform(0, 255, size=(100, 4, 4, 1)).astype(np.float32),
        "age": draw.uniform(0, 100, size=100).astype(np.float32),
    }
    tflite.mkdir(parents=True)
    content = to_int8(saved_model, examples, float_interface=True)
    (tflite / "model.tflite").write_bytes(content)
    add_warmup(tflite, "pictures", {name: values[:2] for name, values in examples.items()})


def add_warmup(path: Path, model: str, inputs: Mapping[str, Any], *, records: int = 2) -> None:
    """Give a SavedModel recorded requests, as TensorFlow Serving replays them after a load."""
    log = prediction_log_pb2.PredictionLog()
    request: predict_pb2.PredictRequest = log.predict_log.request
    request.model_spec.name = model
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(np.asarray(value)))
    file = path / "assets.extra" / "tf_serving_warmup_requests"
    file.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for _ in range(records):
            writer.write(log.SerializeToString())


def _spec(dtype: Any, shape: Sequence[int | None] = (None,)) -> Any:
    return dtype, list(shape)


def _function(body: Any, **inputs: Any) -> Any:
    specs = {
        name: tf.TensorSpec(shape, dtype, name=name) for name, (dtype, shape) in inputs.items()
    }
    return tf.function(body).get_concrete_function(**specs)


def _save(path: Path, module: Any = None, **signatures: Any) -> None:
    tf.saved_model.save(module or tf.Module(), str(path), signatures=signatures)


if __name__ == "__main__":
    build_all(Path(sys.argv[1]).resolve())
