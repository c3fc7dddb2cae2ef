"""Run as a program: writes one small SavedModel per version, each with other answers.

``python make_saved_models.py <folder> <version> …``: version ``v`` answers ``x * v / 10``. The last
one is also written as TFLite, to ``<folder>/tflite/model.tflite``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf


class Scale(tf.Module):  # type: ignore[misc]
    """One number in, that number times a factor out."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = tf.Variable(factor, dtype=tf.float32)

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec([None], tf.float32, name="x")]
    )
    def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """The ``serving_default`` signature."""
        return {"probability": x * self.factor}


def main(folder: Path, versions: list[int]) -> None:
    """Write ``<folder>/<version>`` for each version."""
    for version in versions:
        model = Scale(version / 10)
        tf.saved_model.save(model, str(folder / str(version)), {"serving_default": model.serve})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / str(versions[-1])))
    (folder / "tflite").mkdir()
    (folder / "tflite" / "model.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(version) for version in sys.argv[2:]])
