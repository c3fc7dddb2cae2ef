"""Wall time and peak memory of sliced intervals: Nightshift's, then TFMA's, on the same rows.

Each runs as a process of its own, over one table with two models and two slicings of 25 groups.
Ours: AUC, log loss and accuracy of both models and their difference in all 51 groups, from
``--replicates`` replicates. TFMA's: AUC, cross entropy and accuracy of the candidate alone with
20 samples, its default, so it is given less to do. Where ``--tfma-rows`` is less than ``--rows``,
TFMA measures that many of the rows, and its time over all is *extrapolated in proportion*: the
output says so.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from nightshift.definition.gates import Measuring
from nightshift.definition.slicing import Slicing
from nightshift.evaluation.predictions import PREDICTIONS_FILE, Predictions
from nightshift.runtimes import Runtime, python_of

SLICINGS = ("carrier", "dest")
GROUPS = 25
METHODS = ("JACKKNIFE", "POISSON_BOOTSTRAP")


def main() -> None:
    """Write the table, then measure each in its own process."""
    asked = _arguments()
    asked.folder.mkdir(parents=True, exist_ok=True)
    _table(asked.rows).write(asked.folder / PREDICTIONS_FILE)
    told = ["--replicates", str(asked.replicates), "--tfma-rows", str(asked.tfma_rows)]
    ours = _run(Runtime.ML, asked.folder, "ours", told)
    print(f"Nightshift, {asked.rows:,} rows, {asked.replicates} replicates: {_shown(ours)}")
    for method in METHODS:
        theirs = _run(Runtime.VALIDATION, asked.folder, method, told)
        scale = asked.rows / asked.tfma_rows
        all_rows = theirs["seconds"] * scale
        how = "measured" if scale == 1 else f"EXTRAPOLATED from {asked.tfma_rows:,} rows"
        print(f"TFMA {method}, {asked.tfma_rows:,} rows: {_shown(theirs)}")
        print(
            f"  over all rows {all_rows:.0f} s ({how}), {all_rows / ours['seconds']:.1f} times ours"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--tfma-rows", type=int, default=20_000)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--part", default="")
    return parser.parse_args()


def _shown(measured: dict[str, float]) -> str:
    return f"{measured['seconds']:.1f} s, peak {measured['megabytes']:,.0f} MB"


def _run(runtime: Runtime, folder: Path, part: str, told: list[str]) -> dict[str, float]:
    command = [str(python_of(runtime)), __file__, str(folder), "--part", part, *told]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _table(rows: int) -> Predictions:
    draw = np.random.default_rng(1)
    signal = draw.normal(0, 1, rows)
    labels = draw.random(rows) < 1 / (1 + np.exp(1.4 - signal))

    def model(noise: float) -> np.ndarray:
        logits = 0.85 * signal - 1.35 + noise * draw.normal(0, 1, rows)
        return (1 / (1 + np.exp(-logits))).astype(np.float32)

    groups = {name: draw.integers(0, GROUPS, rows).astype(str) for name in SLICINGS}
    return Predictions(
        labels=labels.astype(np.float32),
        slices={name: pa.array(values.tolist()) for name, values in groups.items()},
        candidate=model(0.4),
        champion=model(0.6),
    )


def part(name: str, folder: Path, replicates: int, tfma_rows: int) -> None:
    """One process's work; prints what it took as JSON."""
    predictions = Predictions.read(folder / PREDICTIONS_FILE, SLICINGS)
    work = _ours if name == "ours" else _theirs
    seconds = work(predictions, name, replicates, tfma_rows)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "megabytes": megabytes}))


def _ours(predictions: Predictions, name: str, replicates: int, tfma_rows: int) -> float:
    from nightshift.evaluation.comparison import Comparison
    from nightshift.evaluation.measure import measure

    started = time.monotonic()
    slicings = tuple(Slicing.model_validate(name) for name in SLICINGS)
    measure(
        Comparison(predictions, slicings, Measuring(replicates=replicates)),
        slices=slicings,
        sensitive=(),
        pipeline="benchmark",
        night=date(2013, 8, 31),
        champion_version=1,
        no_champion="",
    )
    return time.monotonic() - started


def _theirs(predictions: Predictions, name: str, replicates: int, tfma_rows: int) -> float:
    import pandas as pd
    import tensorflow_model_analysis as tfma
    from google.protobuf.wrappers_pb2 import BoolValue

    some = slice(0, tfma_rows)
    columns = {n: values.to_pylist()[some] for n, values in predictions.slices.items()}
    frame = pd.DataFrame(
        {
            **columns,
            "label": predictions.labels[some],
            "prediction": predictions.candidate[some].astype(float),
        }
    )
    metrics = [tfma.MetricConfig(class_name=n) for n in ("AUC", "BinaryCrossEntropy")]
    metrics.append(tfma.MetricConfig(class_name="BinaryAccuracy"))
    intervals = tfma.ConfidenceIntervalOptions(
        method=tfma.ConfidenceIntervalOptions.ConfidenceIntervalMethod.Value(name)
    )
    config = tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(prediction_key="prediction", label_key="label")],
        metrics_specs=[tfma.MetricsSpec(metrics=metrics)],
        slicing_specs=[
            tfma.SlicingSpec(),
            *(tfma.SlicingSpec(feature_keys=[n]) for n in SLICINGS),
        ],
        options=tfma.Options(
            compute_confidence_intervals=BoolValue(value=True), confidence_intervals=intervals
        ),
    )
    started = time.monotonic()
    result = tfma.analyze_raw_data(frame, config)
    assert len(result.slicing_metrics) == 1 + len(SLICINGS) * GROUPS
    return time.monotonic() - started


if __name__ == "__main__":
    told = _arguments()
    if told.part:
        part(told.part, told.folder, told.replicates, told.tfma_rows)
        sys.exit()
    main()
