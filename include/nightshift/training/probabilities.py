"""Whether a trained model answers with probabilities at all."""

from __future__ import annotations

import numpy as np

from nightshift.errors import BadDefinitionError

SUM_TOLERANCE = 1e-3
"""How far the classes' probabilities of a row may be from 1 in sum: rounding, not another unit."""


def check_probabilities(answers: np.ndarray, pipeline: str) -> None:
    """Refuse a model whose answers are none.

    Args:
        answers: Shape [rows] or [rows, classes].
        pipeline: Its name, for the error.

    Raises:
        BadDefinitionError: A number outside 0 to 1, or classes that do not add up to 1.
    """
    shown = f"{pipeline}/model.py"
    wrong = ~((answers >= 0) & (answers <= 1))
    if wrong.any():
        value = answers[wrong][0]
        ending = "Dense(1, activation='sigmoid')"
        if answers.ndim > 1:
            ending = f"Dense({answers.shape[1]}, activation='softmax')"
        raise BadDefinitionError(
            f"{shown}: the output 'probability' is {value} for {int(wrong.sum())} of "
            f"{answers.size} answers; expected numbers from 0 to 1. End the model with a {ending}.",
            file=shown,
            value=float(np.nan_to_num(value)),
        )
    sums = answers.sum(axis=1) if answers.ndim > 1 else np.ones(1)
    off = np.abs(sums - 1) > SUM_TOLERANCE
    if off.any():
        raise BadDefinitionError(
            f"{shown}: the classes' probabilities of {int(off.sum())} of {len(answers)} rows do "
            f"not add up to 1 (the first to {sums[off][0]:.4g}). End the model with a "
            f"Dense({answers.shape[1]}, activation='softmax').",
            file=shown,
            value=float(sums[off][0]),
            limit=1.0,
        )
