"""Run a ``.tflite`` model through LiteRT, a batch at a time. No TensorFlow.

Integer inputs and outputs are converted here as a device's program would: the model is asked in
the pipeline's own units and answers in them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from nightshift.training.signature import OUTPUT, SIGNATURE

Array: TypeAlias = NDArray[Any]

BATCH_ROWS = 256
"""Rows asked at once where throughput counts."""


class LiteModel:
    """A loaded model; not safe to use from two threads at once.

    Args:
        model: The file, or its bytes.
        threads: Threads of its kernels; by default one per core.
    """

    def __init__(self, model: Path | bytes, threads: int | None = None) -> None:
        source = {"model_content": model} if isinstance(model, bytes) else {"model_path": model}
        arguments = {name: str(v) if isinstance(v, Path) else v for name, v in source.items()}
        # Without the default delegate log line there is nothing left to silence.
        self._interpreter = Interpreter(**arguments, num_threads=threads or os.cpu_count() or 1)
        signature = self._interpreter.get_signature_list()[SIGNATURE]
        details = {d["name"]: d for d in self._interpreter.get_input_details()}
        self.inputs: dict[str, dict[str, Any]] = {n: details[n] for n in signature["inputs"]}
        outputs = {d["name"]: d for d in self._interpreter.get_output_details()}
        self.output: dict[str, Any] = outputs[OUTPUT]
        self._rows = 0

    def predict(self, inputs: Mapping[str, Array], batch_rows: int = BATCH_ROWS) -> Array:
        """Probabilities of all rows, float32, shape [rows] or [rows, classes].

        Args:
            inputs: By feature, arrays whose first dimension is rows; others are left out.
            batch_rows: Rows asked at once.
        """
        wanted = {name: inputs[name] for name in self.inputs}
        rows = len(next(iter(wanted.values())))
        parts = [
            self.ask({name: values[at : at + batch_rows] for name, values in wanted.items()})
            for at in range(0, rows, batch_rows)
        ]
        return np.concatenate(parts)

    def ask(self, inputs: Mapping[str, Array]) -> Array:
        """As :meth:`predict`, all rows at once."""
        self.place({name: quantized(inputs[name], d) for name, d in self.inputs.items()})
        return dequantized(self.answer(), self.output)

    def place(self, tensors: Mapping[str, Array]) -> None:
        """Put in tensors of the model's own types; the rows may be others than last time."""
        rows = len(next(iter(tensors.values())))
        if rows != self._rows:
            for detail in self.inputs.values():
                shape = [rows, *(int(size) for size in detail["shape_signature"][1:])]
                self._interpreter.resize_tensor_input(detail["index"], shape)
            self._interpreter.allocate_tensors()
            self._rows = rows
        for name, detail in self.inputs.items():
            self._interpreter.set_tensor(detail["index"], tensors[name])

    def answer(self) -> Array:
        """Run on what was placed; the output in the model's own type."""
        self._interpreter.invoke()
        answer: Array = self._interpreter.get_tensor(self.output["index"])
        return answer


def quantized(values: Array, detail: Mapping[str, Any]) -> Array:
    """Values in the type of an input: ``round(value / scale) + zero_point``, held in its range."""
    dtype = detail["dtype"]
    scale, zero = detail["quantization"]
    if dtype is np.bytes_:
        return np.array([str(v).encode() for v in values.ravel()], object).reshape(values.shape)
    if not scale:
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values / scale) + zero, limits.min, limits.max).astype(dtype)


def dequantized(values: Array, detail: Mapping[str, Any]) -> Array:
    """An output as float32: ``(value - zero_point) * scale``."""
    scale, zero = detail["quantization"]
    if not scale:
        return values.astype(np.float32)
    return ((values.astype(np.float32) - zero) * np.float32(scale)).astype(np.float32)
