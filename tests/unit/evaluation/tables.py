"""Tables of predictions for tests, and how they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from nightshift.definition.gates import Measuring
from nightshift.definition.slicing import Slicing
from nightshift.evaluation.comparison import Comparison
from nightshift.evaluation.measure import measure
from nightshift.evaluation.predictions import Predictions
from nightshift.evaluation.result import Evaluation

NO_CHAMPION = "no version has been released yet"


def slicings(*declared: Any) -> tuple[Slicing, ...]:
    """Slicings as pipeline.yaml writes them."""
    return tuple(Slicing.model_validate(entry) for entry in declared)


def table(
    labels: Sequence[float] | np.ndarray,
    candidate: Sequence[float] | np.ndarray,
    champion: Sequence[float] | np.ndarray | None = None,
    **columns: Sequence[str],
) -> Predictions:
    """A table of two classes."""
    return Predictions(
        labels=np.asarray(labels, np.float32),
        slices={name: pa.array(list(values)) for name, values in columns.items()},
        candidate=np.asarray(candidate, np.float32),
        champion=None if champion is None else np.asarray(champion, np.float32),
    )


def compare(predictions: Predictions, *declared: Any, **measuring: Any) -> Comparison:
    """The table, ready to be asked; by default sliced by each of its columns."""
    wanted = slicings(*(declared or predictions.slices))
    return Comparison(predictions, wanted, Measuring(**measuring))


def evaluate(
    predictions: Predictions,
    no_champion: str = NO_CHAMPION,
    sensitive: Sequence[Any] = (),
    **measuring: Any,
) -> Evaluation:
    """The whole evaluation, sliced by each column."""
    slices, protected = slicings(*predictions.slices), slicings(*sensitive)
    known = predictions.champion is not None
    return measure(
        Comparison(predictions, (*slices, *protected), Measuring(**measuring)),
        slices=slices,
        sensitive=protected,
        pipeline="flights",
        night=date(2013, 8, 31),
        champion_version=7 if known else None,
        no_champion="" if known else no_champion,
    )
