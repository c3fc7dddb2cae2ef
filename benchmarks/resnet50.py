"""A ResNet-50 in TFLite: sizes and operators alone. Its weights are random, so it predicts nothing.

25.6 million parameters of tf_keras' own architecture, inputs of 224 x 224 x 3. INT8 is calibrated
on random images: that settles its scales, not its size.
"""

from __future__ import annotations

import gzip
import tempfile
import time
from pathlib import Path

import numpy as np
import tf_keras

from nightshift.compression import convert
from nightshift.compression.operators import float_operators, operator_counts
from nightshift.definition.model import Feature, FeatureType
from nightshift.training.export import export

SHAPE = (224, 224, 3)
CALIBRATION = 8


def main() -> None:
    """Convert, print the table."""
    tf_keras.utils.set_random_seed(1)
    image = tf_keras.Input(SHAPE, name="image")
    body = tf_keras.applications.ResNet50(weights=None, input_tensor=image, classes=1000)
    output = tf_keras.layers.Activation("linear", name="probability")(body.output)
    model = tf_keras.Model({"image": image}, output)
    print(f"{model.count_params():,} parameters, random\n")
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch)
        export(model, {"image": Feature(type=FeatureType.IMAGE, shape=SHAPE)}, saved)
        _table(saved)


def _table(saved: Path) -> None:
    pixels = np.random.default_rng(1).uniform(0, 255, (CALIBRATION, *SHAPE)).astype(np.float32)
    ways = {
        "float": lambda: convert.to_float(saved),
        "float16": lambda: convert.to_float16(saved),
        "dynamic": lambda: convert.to_dynamic(saved),
        "int8": lambda: convert.to_int8(saved, {"image": pixels}),
    }
    print("| model | bytes | of float | gzip | operators | in float | seconds |")
    print("|---|---|---|---|---|---|---|")
    floats = 0
    for name, convert_it in ways.items():
        started = time.monotonic()
        content = convert_it()
        floats = floats or len(content)
        counts = ", ".join(f"{n} {op}" for op, n in operator_counts(content).items())
        print(
            f"| {name} | {len(content):,} | {len(content) / floats:.4f} | "
            f"{len(gzip.compress(content, 6)):,} | {counts} | {len(float_operators(content))} | "
            f"{time.monotonic() - started:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
