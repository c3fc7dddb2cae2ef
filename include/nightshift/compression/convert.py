"""From a SavedModel to TFLite, by TensorFlow's own converter: float, float16, 8 bits."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, TypeAlias

import tensorflow as tf
from numpy.typing import NDArray

from nightshift.compression.tflite_file import finished
from nightshift.training.signature import SIGNATURE

Inputs: TypeAlias = Mapping[str, NDArray[Any]]
"""By feature, one array [rows, …] each."""


class ConversionError(Exception):
    """The converter refuses the model; the message is its own first telling line."""


def to_float(saved_model: Path) -> bytes:
    """The model in TFLite, nothing compressed: what variants are compared with."""
    return _converted(_converter(saved_model))


def to_float16(saved_model: Path) -> bytes:
    """Weights in 16 bits; they are unpacked when the model is loaded."""
    converter = _converter(saved_model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return _converted(converter)


def to_dynamic(saved_model: Path) -> bytes:
    """Weights in 8 bits, activations quantized by the kernels while they run."""
    converter = _converter(saved_model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return _converted(converter)


def to_int8(saved_model: Path, calibration: Inputs, *, float_interface: bool = False) -> bytes:
    """Weights and activations in 8 bits.

    Args:
        saved_model: The model.
        calibration: Examples on which the ranges of activations are measured.
        float_interface: Take and give float32 all the same, as the float model does.
    """
    converter = _converter(saved_model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = _one_by_one(calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if not float_interface:
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return _converted(converter)


def _converter(saved_model: Path) -> Any:
    return tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[SIGNATURE])


def _converted(converter: Any) -> bytes:
    # The converter prints its settings, and warns of an interpreter that it uses itself.
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return finished(converter.convert())
        except Exception as error:
            # Its own error class lives in a private module; a plain one is as common.
            raise ConversionError(_gist(str(error))) from error


def _one_by_one(calibration: Inputs) -> Callable[[], Iterator[tuple[str, dict[str, Any]]]]:
    rows = len(next(iter(calibration.values())))

    def examples() -> Iterator[tuple[str, dict[str, Any]]]:
        for row in range(rows):
            yield SIGNATURE, {name: v[row : row + 1] for name, v in calibration.items()}

    return examples


def _gist(text: str) -> str:
    """Of the converter's page of nested locations, what it says is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wanted = [line for line in lines if line.startswith(("TF Select ops:", "Custom ops:"))]
    if wanted:
        return f"operators that TFLite does not have: {', '.join(dict.fromkeys(wanted))}"
    telling = [line.rsplit("error: ", 1)[-1] for line in lines if "error: " in line]
    return (telling or lines or ["no reason given"])[0][:500]
