"""Run in the ``validation`` runtime: hold TFMA's pipeline against the direct calls of its metrics.

Usage: ``run_tfma.py FOLDER``, which holds ``predictions.parquet`` and ``pipeline.json``. Prints the
number of values compared and the largest difference as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_model_analysis as tfma  # whole: what the step leaves out, a pipeline needs
from pydantic import TypeAdapter

from nightshift.definition.gates import Measuring
from nightshift.definition.slicing import Slicing, columns_of
from nightshift.evaluation import tfma_metrics
from nightshift.evaluation.agreement import CANDIDATE
from nightshift.evaluation.predictions import Predictions
from nightshift.evaluation.tfma_table import SliceKey, Table, table_of


def main(folder: Path) -> None:
    """Measure the candidate twice, compare."""
    told = json.loads((folder / "pipeline.json").read_text(encoding="utf-8"))
    slicings = TypeAdapter(tuple[Slicing, ...]).validate_python(told)
    predictions = Predictions.read(folder / "predictions.parquet", columns_of(slicings))
    both = table_of(predictions, slicings, Measuring())
    table = Table(
        labels=both.labels,
        scores={CANDIDATE: both.scores[CANDIDATE]},
        thresholds={CANDIDATE: both.thresholds[CANDIDATE]},
        features=both.features,
        slicings=both.slicings,
    )
    direct = tfma_metrics.measure(table)
    piped = by_pipeline(table)
    assert direct.keys() == piped.keys(), direct.keys() ^ piped.keys()
    differences = [
        abs(direct[key][CANDIDATE, name] - value)
        for key, values in piped.items()
        for name, value in values.items()
        # Both leave the same undefined: NaN is far from everything else.
        if not np.isnan(value) or not np.isnan(direct[key][CANDIDATE, name])
    ]
    print(json.dumps({"compared": len(differences), "largest": float(np.max(differences))}))


def by_pipeline(table: Table) -> dict[SliceKey, dict[str, float]]:
    """By slice and name, what ``tfma.analyze_raw_data`` gives for the same configuration."""
    config = tfma_metrics.config_of(table)
    del config.model_specs[:]
    config.model_specs.add(prediction_key="prediction", label_key="label")
    for spec in config.metrics_specs:
        del spec.model_names[:]  # a model alone has no name
    columns: dict[str, Any] = {name: list(values) for name, values in table.features.items()}
    scores = table.scores[CANDIDATE].astype(np.float64)
    frame = pd.DataFrame({**columns, "label": table.labels, "prediction": scores})
    result = tfma.analyze_raw_data(frame, config)
    return {
        tuple(key): {name: float(value["doubleValue"]) for name, value in metrics[""][""].items()}
        for key, metrics in result.slicing_metrics
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
