"""Ask an exported model: the same signature that a model server calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import tensorflow as tf

from nightshift.errors import BadDefinitionError
from nightshift.training.signature import OUTPUT, SIGNATURE

PREDICTION_ROWS = 65_536
"""Rows asked at once: enough to keep the cores busy, little enough for any model's memory."""
PREDICTION_PIXELS = 1_000_000
"""Pixels asked at once, which bounds the rows of images: a convolution keeps many numbers each."""


@dataclass(frozen=True)
class Input:
    """What a signature takes for one feature.

    Attributes:
        dtype: TensorFlow's name of the type.
        shape: Of one row: () for a number or text, an image's own else.
    """

    dtype: str
    shape: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}" if self.shape else self.dtype


class Predictor:
    """A SavedModel and its ``serving_default`` signature.

    Args:
        folder: The SavedModel.

    Raises:
        BadDefinitionError: It has no such signature, or the signature has no ``probability``.
    """

    def __init__(self, folder: Path) -> None:
        # The loaded object owns the variables that the function reads: keep it.
        self._loaded = tf.saved_model.load(str(folder))
        signatures = self._loaded.signatures
        if SIGNATURE not in signatures or OUTPUT not in signatures[SIGNATURE].structured_outputs:
            raise BadDefinitionError(
                f"The model has the signatures {sorted(signatures)}; expected {SIGNATURE!r} with "
                f"the output {OUTPUT!r}.",
                signatures=sorted(signatures),
            )
        self._ask = signatures[SIGNATURE]

    @property
    def inputs(self) -> dict[str, Input]:
        """The signature's inputs."""
        specs = self._ask.structured_input_signature[1]
        return {
            name: Input(spec.dtype.name, tuple(spec.shape.as_list()[1:]))
            for name, spec in specs.items()
        }

    @property
    def classes(self) -> int:
        """Probabilities per row; 0 where it is one number, the probability of 1."""
        shape = self._ask.structured_outputs[OUTPUT].shape.as_list()
        return int(shape[1]) if len(shape) > 1 else 0

    def predict(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probabilities, shape [rows] or [rows, classes], float32.

        Args:
            inputs: One array [rows, …] per input of the signature; others are left out. Pixels
                may be uint8.
        """
        wanted = self.inputs
        rows = len(inputs[next(iter(wanted))])
        widest = max(prod(inputs[name].shape[1:]) for name in wanted)
        step = PREDICTION_ROWS if widest == 1 else max(1, PREDICTION_PIXELS // widest)
        parts = []
        for start in range(0, rows, step):
            part = {
                name: _tensor(inputs[name][start : start + step], taken.dtype)
                for name, taken in wanted.items()
            }
            parts.append(self._ask(**part)[OUTPUT].numpy())
        return np.concatenate(parts)


def _tensor(values: np.ndarray, dtype: str) -> tf.Tensor:
    """Values as a signature's input; pixels become the floats that a client sends."""
    return tf.cast(tf.constant(values), dtype) if values.dtype == np.uint8 else tf.constant(values)
