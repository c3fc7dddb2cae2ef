"""One SavedModel in memory: loaded into a session of its own, called by signature.

The SavedModel goes into a graph and a session, as in TensorFlow Serving, and each signature
becomes a prepared callable. Measured on 2 cores with a model of ten raw features, one row: 0.10 ms
a call, against 0.95 ms through `tf.saved_model.load` and its concrete function, whose arguments
are converted to eager tensors one by one. The answers are the same to the bit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from nightshift.serving.errors import ServingError, StatusCode, not_found
from nightshift.serving.signature import Signature, Tensor, signature_from_proto

_CALLING_THREAD = -1
"""`inter_op_thread_pool` that runs a request on the thread that brought it: no hand-over."""


@dataclass(frozen=True)
class ThreadSettings:
    """TensorFlow's threads.

    Attributes:
        intra_op: Threads within one operation; 0 lets TensorFlow choose.
        inter_op: Threads over the operations of a request; 0 runs them on the request's thread.
    """

    intra_op: int = 0
    inter_op: int = 0


class LoadedModel:
    """A SavedModel ready to predict; safe to call from many threads at once."""

    def __init__(self, session: Any, meta_graph: Any, threads: ThreadSettings) -> None:
        self._session = session
        self._threads = threads
        self._lock = threading.Lock()
        self._callables: dict[str, Callable[..., list[Any]]] = {}
        self.signature_defs: dict[str, Any] = dict(meta_graph.signature_def)
        self.signatures: dict[str, Signature] = {
            name: signature_from_proto(name, definition)
            for name, definition in self.signature_defs.items()
        }

    def run(self, signature: Signature, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run one signature.

        Args:
            signature: One of `signatures`.
            inputs: A tensor for every input of the signature, of its type and shape.

        Returns:
            A tensor for every output of the signature.

        Raises:
            ServingError: With TensorFlow's own code, where an operation failed.
        """
        try:
            run = self._callables.get(signature.name) or self._prepare(signature)
            values = run(*(inputs[alias] for alias in signature.inputs))
        except tf.errors.OpError as error:
            raise error_from_tensorflow(error) from error
        return dict(zip(signature.outputs, values, strict=True))

    def close(self) -> None:
        """Free the model's memory. Nobody may call `run` any more."""
        self._session.close()

    def _prepare(self, signature: Signature) -> Callable[..., list[Any]]:
        options = config_pb2.CallableOptions()
        options.feed.extend(spec.graph_name for spec in signature.inputs.values())
        options.fetch.extend(spec.graph_name for spec in signature.outputs.values())
        if self._threads.inter_op == 0:
            options.run_options.inter_op_thread_pool = _CALLING_THREAD
        with self._lock:
            if signature.name not in self._callables:
                self._callables[signature.name] = self._session._make_callable_from_options(options)
            return self._callables[signature.name]


def load_saved_model(path: Path, threads: ThreadSettings) -> LoadedModel:
    """Load the `serve` graph of a SavedModel, with its variables and tables.

    Raises:
        ServingError: NOT_FOUND without a saved_model.pb; TensorFlow's own code for a damaged one.
    """
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph, config=_session_config(threads))
    try:
        with graph.as_default():
            meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        return LoadedModel(session, meta_graph, threads)
    except Exception as error:
        session.close()
        raise _load_error(path, error) from error


def error_from_tensorflow(error: Any) -> ServingError:
    """A TensorFlow error with its own code, and its message without the banner line."""
    message = str(error.message).removeprefix("Graph execution error:").strip()
    return ServingError(StatusCode(error.error_code), message)


def _session_config(threads: ThreadSettings) -> Any:
    return tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=threads.intra_op,
        inter_op_parallelism_threads=threads.inter_op,
    )


def _load_error(path: Path, error: Exception) -> ServingError:
    if isinstance(error, tf.errors.OpError):
        return error_from_tensorflow(error)
    if not any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        return not_found(
            f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}"
        )
    return ServingError(
        StatusCode.INTERNAL,
        f"Cannot load the SavedModel at {path}: {type(error).__name__}: {error}",
    )
