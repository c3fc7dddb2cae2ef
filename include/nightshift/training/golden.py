"""Golden requests: rows whose answers a serving host must repeat before it takes traffic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from nightshift.definition.model import Feature, FeatureType
from nightshift.training.examples import Examples

GOLDEN_FILE = "golden.json"


class Golden(BaseModel):
    """The content of ``golden.json``: one request in column format, and its answers."""

    model_config = ConfigDict(frozen=True)

    signature: str
    inputs: dict[str, list[Any]]
    """By feature, one value per row: text, a number, or an image's nested numbers."""
    outputs: dict[str, list[Any]]
    """By output, one value per row: a probability, or a list of them, one per class."""
    tolerance: float
    """Largest absolute difference allowed between an answer and its value here."""


def golden_rows(examples: Examples, features: Mapping[str, Feature], count: int) -> np.ndarray:
    """Indices of the rows to ask for, in ascending order; all rows where there are fewer.

    Rare categories first (a table that was exported wrongly shows there), each once; what is left
    of ``count`` is spread evenly over the rows.
    """
    count = min(count, len(examples))
    chosen: dict[int, None] = {}
    for row in _rarest_first(examples, features):
        if len(chosen) == count:
            break
        chosen.setdefault(row)
    # As many evenly spread rows as would suffice if none of them were chosen already.
    for row in np.linspace(0, len(examples) - 1, num=count, dtype=int).tolist():
        if len(chosen) == count:
            break
        chosen.setdefault(row)
    for row in range(len(examples)):
        if len(chosen) == count:
            break
        chosen.setdefault(row)
    return np.array(sorted(chosen), dtype=np.int64)


def write_golden(path: Path, golden: Golden) -> None:
    """Write the file (floats with all digits that they have)."""
    path.write_text(json.dumps(golden.model_dump(mode="json"), indent=1), encoding="utf-8")


def as_json(values: np.ndarray) -> list[Any]:
    """An array [rows, …] as (nested) plain values; float32 becomes the nearest double.

    Nothing is lost. Pixels (uint8) become the floats that the signature takes.
    """
    plain: list[Any] = (values.astype(np.float32) if values.dtype == np.uint8 else values).tolist()
    return plain


def _rarest_first(examples: Examples, features: Mapping[str, Feature]) -> list[int]:
    found: list[tuple[int, int]] = []
    for name, feature in features.items():
        if feature.type is FeatureType.STRING:
            _, first, counts = np.unique(
                examples.inputs[name], return_index=True, return_counts=True
            )
            found += zip(counts.tolist(), first.tolist(), strict=True)
    return [row for _, row in sorted(found)]
