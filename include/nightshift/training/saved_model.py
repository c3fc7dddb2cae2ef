"""Ask an exported model: the same signature that a model server calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from nightshift.errors import BadDefinitionError

SIGNATURE = "serving_default"
OUTPUT = "probability"
PREDICTION_ROWS = 65_536
"""Rows asked at once: enough to keep the cores busy, little enough for any model's memory."""


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
    def inputs(self) -> dict[str, str]:
        """The signature's inputs and their types."""
        specs = self._ask.structured_input_signature[1]
        return {name: spec.dtype.name for name, spec in specs.items()}

    def predict(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probabilities, shape [rows], float32.

        Args:
            inputs: One array [rows] per input of the signature; others are left out.
        """
        wanted = {name: inputs[name] for name in self.inputs}
        rows = len(next(iter(wanted.values())))
        parts = []
        for start in range(0, rows, PREDICTION_ROWS):
            part = {n: tf.constant(v[start : start + PREDICTION_ROWS]) for n, v in wanted.items()}
            parts.append(self._ask(**part)[OUTPUT].numpy())
        return np.concatenate(parts)
