"""TensorFlow as the steps see it, and one small exported model for all targets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


@dataclass(frozen=True)
class Small:
    """A convolution over 6 x 6 pixels, in memory and exported, and rows to ask it about."""

    model: Any
    saved_model: Path
    inputs: dict[str, Any]
    labels: Any

    def answers(self) -> Any:
        """What the Keras model itself says, [rows, 3]."""
        import tensorflow as tf

        return self.model({n: tf.constant(v) for n, v in self.inputs.items()}).numpy()


def build() -> Any:
    """The Keras model, fresh."""
    import tf_keras

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(4)
    pixels = tf_keras.Input((6, 6, 1), name="image")
    hidden = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(pixels))
    hidden = layers.Dense(32, activation="relu")(layers.Flatten()(hidden))
    output = layers.Dense(3, activation="softmax", name="probability")(hidden)
    return tf_keras.Model({"image": pixels}, output)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    from nightshift.definition.model import Feature, FeatureType
    from nightshift.training.export import export

    model, folder = build(), tmp_path_factory.mktemp("small") / "saved_model"
    export(model, {"image": Feature(type=FeatureType.IMAGE, shape=(6, 6, 1))}, folder)
    draw = np.random.default_rng(2)
    pixels = draw.uniform(0, 255, size=(96, 6, 6, 1)).astype(np.float32)
    return Small(model, folder, {"image": pixels}, draw.integers(0, 3, size=96).astype(np.float32))
