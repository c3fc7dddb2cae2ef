"""One TFLite model in memory: what `--prefer_tflite_model` loads in a SavedModel's place.

TensorFlow Serving loads `model.tflite` from the version's folder and makes its signature from the
file's own inputs and outputs; clients cannot tell it from a SavedModel. An interpreter holds one
request's tensors at a time, so that a model has several of them, each used by one request.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.core.protobuf import meta_graph_pb2

from nightshift.serving.errors import ServingError, StatusCode, invalid_argument
from nightshift.serving.saved_model import ThreadSettings
from nightshift.serving.signature import (
    DEFAULT_SIGNATURE,
    Signature,
    Tensor,
    TensorSpec,
    signature_from_proto,
)

PREDICT_METHOD: Final = "tensorflow/serving/predict"
INTERPRETERS: Final = 4
"""Requests at the same time, at most; TensorFlow Serving's default is one per CPU."""


class LoadedLiteModel:
    """A TFLite model ready to predict; safe to call from many threads at once."""

    def __init__(self, path: Path, threads: ThreadSettings) -> None:
        self._path = path
        self._threads = max(threads.intra_op, 1)
        self._lock = threading.Lock()
        self._idle: queue.LifoQueue[_Session] = queue.LifoQueue()
        first = self._open()
        self._made = 1
        self._idle.put(first)
        self.signature_defs: dict[str, Any] = {DEFAULT_SIGNATURE: first.signature_def()}
        self.signatures: dict[str, Signature] = {
            name: signature_from_proto(name, definition)
            for name, definition in self.signature_defs.items()
        }

    def run(self, signature: Signature, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run the one signature; see `saved_model.LoadedModel.run`.

        Raises:
            ServingError: INVALID_ARGUMENT where inputs differ in rows, INTERNAL where a kernel
                failed.
        """
        rows = _rows(inputs)
        if rows == 0:
            # A kernel may refuse an empty batch; the SavedModel answers it with an empty one.
            return {alias: _empty(spec) for alias, spec in signature.outputs.items()}
        with self._session() as session:
            return session.run(inputs)

    def close(self) -> None:
        """Free the model's memory. Nobody may call `run` any more."""
        while not self._idle.empty():
            self._idle.get_nowait()

    @contextmanager
    def _session(self) -> Iterator[_Session]:
        session = self._take()
        try:
            yield session
        finally:
            self._idle.put(session)

    def _take(self) -> _Session:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            pass
        with self._lock:
            may_open = self._made < INTERPRETERS
            self._made += may_open
        return self._open() if may_open else self._idle.get()

    def _open(self) -> _Session:
        return _Session(self._path, self._threads)


class _Session:
    """One interpreter."""

    def __init__(self, path: Path, threads: int) -> None:
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
        except (ValueError, RuntimeError) as error:
            raise invalid_argument(
                f"Cannot build FlatBufferModel from buffer: {path}: {error}"
            ) from error
        try:
            self._interpreter.allocate_tensors()
            # Not kept: an interpreter that something else refers to refuses other shapes.
            runner = self._interpreter.get_signature_runner(DEFAULT_SIGNATURE)
        except (ValueError, RuntimeError) as error:
            raise ServingError(
                StatusCode.INTERNAL, f"Cannot allocate tensors in Interpreter: {path}: {error}"
            ) from error
        self._inputs: dict[str, Any] = runner.get_input_details()
        self._outputs: dict[str, Any] = runner.get_output_details()
        self._shapes: dict[str, tuple[int, ...]] = {}

    def run(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        shapes = {alias: tensor.shape for alias, tensor in inputs.items()}
        try:
            if shapes != self._shapes:
                for alias, shape in shapes.items():
                    index = self._inputs[alias]["index"]
                    self._interpreter.resize_tensor_input(index, list(shape))
                self._interpreter.allocate_tensors()
                self._shapes = shapes
            for alias, tensor in inputs.items():
                self._interpreter.set_tensor(self._inputs[alias]["index"], tensor)
            self._interpreter.invoke()
            return {
                alias: _answer(self._interpreter.get_tensor(detail["index"]))
                for alias, detail in self._outputs.items()
            }
        except (ValueError, RuntimeError) as error:
            self._shapes = {}
            raise ServingError(
                StatusCode.INTERNAL, f"Failed to run interpreter: {error}"
            ) from error

    def signature_def(self) -> Any:
        """The signature as a SavedModel would declare it: any number of rows."""
        definition = meta_graph_pb2.SignatureDef(method_name=PREDICT_METHOD)
        for tensors, details in (
            (definition.inputs, self._inputs),
            (definition.outputs, self._outputs),
        ):
            for alias, detail in details.items():
                tensors[alias].name = detail["name"]
                tensors[alias].dtype = _dtype(detail["dtype"]).as_datatype_enum
                for size in detail["shape_signature"]:
                    tensors[alias].tensor_shape.dim.add(size=int(size))
        return definition


def load_lite_model(path: Path, threads: ThreadSettings) -> LoadedLiteModel:
    """Load a `.tflite` file.

    Raises:
        ServingError: INVALID_ARGUMENT for a damaged file, INTERNAL for one whose operators or
            signature this server does not have.
    """
    return LoadedLiteModel(path, threads)


def _dtype(numpy_type: Any) -> Any:
    return tf.string if numpy_type in (np.bytes_, np.object_) else tf.dtypes.as_dtype(numpy_type)


def _answer(tensor: Tensor) -> Tensor:
    return tensor.astype(object) if tensor.dtype.kind == "S" else tensor


def _rows(inputs: dict[str, Tensor]) -> int:
    sizes = {alias: tensor.shape[0] for alias, tensor in inputs.items() if tensor.ndim}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{alias} has {rows}" for alias, rows in sizes.items())
        raise invalid_argument(f"Inputs differ in their number of rows: {shown}")
    return next(iter(sizes.values()), 1)


def _empty(spec: TensorSpec) -> Tensor:
    return np.zeros([size or 0 for size in spec.shape or (0,)], spec.numpy_type)
