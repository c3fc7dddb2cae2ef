"""The artifact of one variant: its files, and what ``variant.json`` says of it.

::

    variant.json                     how it was made
    model.tflite                     the variant; absent where the converter refused the model
    baseline.tflite                  the float model in TFLite, with the first target alone
    saved_model/model.tflite         int8 alone: the version's folder as model servers take it
    saved_model/assets.extra/…       its warm-up requests
    golden.json                      int8 alone: golden requests with this variant's own answers
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from nightshift.compression.result import FloatOperator
from nightshift.definition.compression import Target

VARIANT_FILE = "variant.json"
MODEL_FILE = "model.tflite"
BASELINE_FILE = "baseline.tflite"
SERVED_FILE = "saved_model/model.tflite"


class Variant(BaseModel):
    """The content of ``variant.json``."""

    model_config = ConfigDict(frozen=True)

    target: Target
    refused: str = ""
    """Why there is no model: what the converter said. Empty where there is one."""
    operators: dict[str, int] = {}
    """How often each operator occurs."""
    float_operators: tuple[FloatOperator, ...] = ()
    """Operators that read or write float tensors; must be none in a full-integer model."""
    served_float_operators: tuple[FloatOperator, ...] = ()
    """The same of the served variant, apart from the conversion of its inputs and outputs."""
    sparsity: float | None = None
    """Share of zeros among the kernels that were pruned."""
    calibrated_on: int = 0
    """Examples on which the ranges of activations were measured."""
    seconds: dict[str, float] = {}
