"""A small window: a colour, a size and a weight, with a label that follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nightshift.data.pinned import PinnedFile, Split
from nightshift.definition.model import Feature, FeatureType, Label
from nightshift.training.examples import ExampleReader, Examples, concatenate

FEATURES = {
    "colour": Feature(type=FeatureType.STRING),
    "size": Feature(type=FeatureType.INT),
    "weight": Feature(type=FeatureType.FLOAT),
}
LABEL = Label(name="late", column="delay", above=15)
READER = ExampleReader(FEATURES, LABEL)

MODEL = """
import tf_keras

def build(features, parameters):
    layers = tf_keras.layers
    inputs = {n: tf_keras.Input(shape=(1,), name=n, dtype=f.dtype) for n, f in features.items()}
    index = layers.StringLookup(vocabulary=list(features["colour"].vocabulary))(inputs["colour"])
    colour = layers.Flatten()(layers.Embedding(len(features["colour"].vocabulary) + 1, 2)(index))
    size = layers.Flatten()(layers.Embedding(8, 2)(inputs["size"]))
    hidden = layers.Concatenate()([colour, size, inputs["weight"] * parameters.get("scale", 1.0)])
    hidden = layers.Dense(8, activation="relu")(hidden)
    output = layers.Dense(1, activation="sigmoid", name="probability")(hidden)
    return tf_keras.Model(inputs, output)
"""


def columns(rows: int, seed: int = 0) -> dict[str, Any]:
    """Random rows as columns."""
    draw = np.random.default_rng(seed)
    weight = draw.normal(size=rows)
    return {
        "colour": draw.choice(["red", "green", "blue"], size=rows).tolist(),
        "size": draw.integers(0, 5, size=rows).tolist(),
        "weight": weight.tolist(),
        "delay": (20 * weight + draw.normal(size=rows) * 10 + 15).tolist(),
    }


def write_files(folder: Path, parts: Sequence[dict[str, Any]]) -> list[tuple[PinnedFile, Path]]:
    """One Parquet file per part, as a snapshot's download gives them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, part in enumerate(parts, start=1):
        path = folder / f"{number:06d}.parquet"
        table = part if isinstance(part, pa.Table) else pa.table(part)
        pq.write_table(table, path)
        pinned = PinnedFile(
            date=date(2013, 1, number),
            split=Split.TRAIN,
            key=f"small/date=2013-01-{number:02d}/part-0.parquet",
            version_id=None,
            sha256="0" * 64,
            size=path.stat().st_size,
            rows=table.num_rows,
        )
        files.append((pinned, path))
    return files


def examples(rows: int, seed: int = 0) -> Examples:
    """Random rows in memory."""
    batch = pa.RecordBatch.from_pydict(columns(rows, seed))
    return READER.examples(concatenate([READER.checked(batch, "small.parquet")]))
