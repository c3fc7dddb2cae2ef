"""Warm-up: the recorded requests that a version answers before anyone else may ask.

A SavedModel brings them in `assets.extra/tf_serving_warmup_requests`, a TFRecord file of
PredictionLog messages, at most 1,000. A record that fails, fails the load, as in TensorFlow
Serving: a version that cannot answer its own sample requests must not become AVAILABLE.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from nightshift.serving.errors import invalid_argument, unimplemented
from nightshift.serving.model import Model
from nightshift.serving.prediction import find_signature, predict
from nightshift.serving.saved_model import error_from_tensorflow
from nightshift.serving.tensor_proto import tensor_from_proto

WARMUP_FILE: Final = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS: Final = 1000


def warm_up(model: Model, path: Path) -> int:
    """Replay the warm-up records of a SavedModel.

    Args:
        model: The model just loaded.
        path: The folder it was loaded from.

    Returns:
        How many requests were replayed; 0 where the SavedModel brings none.

    Raises:
        ServingError: A record cannot be read, is not a Predict request, or fails.
    """
    file = path / WARMUP_FILE
    count = 0
    for record in _records(file) if file.is_file() else ():
        count += 1
        if count > MAX_RECORDS:
            raise invalid_argument(
                f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}"
            )
        _replay(model, _parse(record, file))
    return count


def _records(file: Path) -> Iterator[bytes]:
    try:
        yield from tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    except tf.errors.OpError as error:
        raise error_from_tensorflow(error) from error


def _parse(record: bytes, file: Path) -> Any:
    try:
        return prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise invalid_argument(f"Failed to parse warmup record from {file}: {error}") from error


def _replay(model: Model, log: Any) -> None:
    kind = log.WhichOneof("log_type")
    if kind != "predict_log":
        raise unimplemented(f"Unsupported log_type for warmup: {kind}")
    request = log.predict_log.request
    predict(
        model,
        find_signature(model, request.model_spec.signature_name),
        {alias: tensor_from_proto(alias, proto) for alias, proto in request.inputs.items()},
        {alias: proto.dtype for alias, proto in request.inputs.items()},
        tuple(request.output_filter),
    )
