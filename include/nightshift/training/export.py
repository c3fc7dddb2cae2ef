"""Export a fitted model as a SavedModel that TensorFlow Serving loads as it is.

Layout: ``saved_model/`` with the signature ``serving_default`` over the raw features, each a
vector [rows] under its own name, so that a REST row is ``{"carrier": "AA", …}``; an image is
[rows, height, width, channels] of float32 from 0 to 255. The output is ``probability``: [rows], or
[rows, classes] where the label has classes. Warm-up requests lie in ``assets.extra``.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf
import tf_keras

from nightshift.definition.model import Feature
from nightshift.training.features import dtype_of
from nightshift.training.signature import OUTPUT, SIGNATURE

if TYPE_CHECKING:
    import numpy as np

SAVED_MODEL = "saved_model"
_WARMUP = "assets.extra/tf_serving_warmup_requests"


def export(model: tf_keras.Model, features: Mapping[str, Feature], folder: Path) -> None:
    """Write the SavedModel into ``folder``.

    The converter to TFLite reads its signature too, so that each compressed variant takes the same
    inputs by the same names.
    """
    specs = {
        name: tf.TensorSpec([None, *(f.shape or ())], dtype_of(f.type), name=name)
        for name, f in features.items()
    }
    # One probability is a number of its own; the classes' stay together.
    alone = model.outputs[0].shape[-1] == 1

    @tf.function(input_signature=[specs])
    def serve(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        columns = {
            name: values if features[name].shape else tf.expand_dims(values, -1)
            for name, values in inputs.items()
        }
        answers = model(columns, training=False)
        return {OUTPUT: tf.squeeze(answers, -1) if alone else answers}

    # Keras' own archive saves variables, lookup tables and this one function: loading it needs
    # TensorFlow alone, and writing it does not trace every layer again as model.save would.
    archive = tf_keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(SIGNATURE, serve)
    # Both Keras and TensorFlow list every tensor that they save.
    with redirect_stdout(io.StringIO()), _errors_only("absl", "tensorflow"):
        archive.write_out(str(folder))


@contextmanager
def _errors_only(*names: str) -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def write_warmup(folder: Path, model: str, requests: list[Mapping[str, np.ndarray]]) -> None:
    """Put requests beside the SavedModel that a server runs before it calls itself ready.

    Args:
        folder: The SavedModel.
        model: The name under which it is served.
        requests: Inputs by feature, each as the signature takes it; pixels may be uint8.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    path = folder / _WARMUP
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for inputs in requests:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model
            request.model_spec.signature_name = SIGNATURE
            for name, values in inputs.items():
                # Pixels are kept as bytes; a server refuses to load a model over a wrong type.
                asked = values.astype("float32") if values.dtype == "uint8" else values
                request.inputs[name].CopyFrom(tf.make_tensor_proto(asked))
            writer.write(log.SerializeToString())
