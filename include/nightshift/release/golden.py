"""Golden requests: holdout rows whose right answers the training step recorded.

``golden.json`` in the model artifact, in TensorFlow Serving's column format::

    {"signature": "serving_default",
     "inputs": {"carrier": ["AA", "UA"], "distance": [733.0, 1400.0]},
     "outputs": {"probability": [0.12, 0.61]},
     "tolerance": 1e-05}
"""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict

from nightshift.release.model_server import ModelServer, PredictionRefusedError

GOLDEN_FILE = "golden.json"


class Golden(BaseModel):
    """The content of ``golden.json``."""

    model_config = ConfigDict(frozen=True)

    signature: str = "serving_default"
    inputs: dict[str, list[Any]]
    """One list of equal length per feature."""
    outputs: dict[str, list[Any]]
    """One list per output; each value may be nested, such as ``[[0.1], [0.2]]``."""
    tolerance: float
    """Largest absolute difference allowed."""


def check_golden(server: ModelServer, pipeline: str, version: int, golden: Golden) -> str | None:
    """Send the golden requests to one version and compare its answers.

    Returns:
        None where every answer is right; otherwise what is wrong, with value and limit.

    Raises:
        UnavailableError: The server does not answer; nothing is known about the version.
    """
    body = {"signature_name": golden.signature, "inputs": golden.inputs}
    try:
        answer = server.predict(pipeline, version, body)
    except PredictionRefusedError as error:
        return f"the golden request was answered with an error: {error}"
    answers = _by_name(answer, golden)
    for name, expected in golden.outputs.items():
        if name not in answers:
            return f"the golden answer has no output {name!r}; it has {sorted(answers)}"
        wrong = _difference(name, answers[name], expected, golden.tolerance)
        if wrong:
            return wrong
    return None


def _by_name(answer: Any, golden: Golden) -> dict[str, Any]:
    """A signature with a single output answers with the bare list."""
    if isinstance(answer, dict):
        return answer
    return dict.fromkeys(golden.outputs, answer) if len(golden.outputs) == 1 else {}


def _flat(values: Any) -> list[Any]:
    if not isinstance(values, list):
        return [values]
    return [value for nested in values for value in _flat(nested)]


def _difference(name: str, answered: Any, rows: list[Any], tolerance: float) -> str | None:
    answers, expected = _flat(answered), _flat(rows)
    if len(answers) != len(expected):
        return f"golden output {name!r} has {len(answers)} values instead of {len(expected)}"
    width = len(expected) // max(len(rows), 1)
    for number, (value, right) in enumerate(zip(answers, expected, strict=True)):
        off = _distance(value, right)
        # Written so that NaN, which compares with nothing, is wrong.
        if not off <= tolerance:
            return (
                f"golden row {_place(number, width)} of {name!r}: served {value!r}, the trained "
                f"model said {right!r} (difference {off:g}, limit {tolerance:g})"
            )
    return None


def _place(number: int, width: int) -> str:
    """The row of a value, and which of the row's values it is where it has several."""
    return str(number) if width == 1 else f"{number // width}, value {number % width},"


def _distance(value: Any, right: Any) -> float:
    if isinstance(value, int | float) and isinstance(right, int | float):
        return abs(float(value) - float(right))
    return 0.0 if value == right else math.inf
