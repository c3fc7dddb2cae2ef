"""Small images with one class each: which row of pixels is bright is the class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from nightshift.definition.model import Feature, FeatureType, Label
from nightshift.training.examples import ExampleReader, Examples, concatenate

SHAPE = (4, 5, 2)
CLASSES = ("top", "middle", "bottom")
FEATURES = {"image": Feature(type=FeatureType.IMAGE, shape=SHAPE)}
LABEL = Label(name="place", column="place", classes=CLASSES)
READER = ExampleReader(FEATURES, LABEL)

MODEL = """
import tf_keras

def build(features, parameters):
    layers = tf_keras.layers
    image = features["image"]
    raw = tf_keras.Input(shape=image.shape, name="image", dtype=image.dtype)
    hidden = layers.Flatten()(layers.Rescaling(1 / 255)(raw))
    output = layers.Dense(3, activation="softmax", name="probability")(hidden)
    return tf_keras.Model({"image": raw}, output)
"""


def pixels(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images [rows, 4, 5, 2] as uint8, and their classes [rows]."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 100, size=(rows, *SHAPE), dtype=np.uint8)
    places = draw.integers(0, len(CLASSES), size=rows)
    images[np.arange(rows), places] += 120
    return images, places


def columns(rows: int, seed: int = 0) -> dict[str, Any]:
    """The same as the lake's columns."""
    images, places = pixels(rows, seed)
    return {"image": [image.tobytes() for image in images], "place": places.tolist()}


def examples(rows: int, seed: int = 0) -> Examples:
    """The same as examples in memory."""
    batch = pa.RecordBatch.from_pydict(columns(rows, seed))
    return READER.examples(concatenate([READER.checked(batch, "images.parquet")]))
