"""What a version in memory can do, whichever file it was loaded from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

from nightshift.serving.saved_model import ThreadSettings, load_saved_model
from nightshift.serving.signature import Signature, Tensor

LITE_FILE: Final = "model.tflite"


class Model(Protocol):
    """A loaded version; safe to call from many threads at once."""

    signature_defs: dict[str, Any]
    signatures: dict[str, Signature]

    def run(self, signature: Signature, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run one signature on tensors of its types and shapes."""

    def close(self) -> None:
        """Free the model's memory."""


def load_model(path: Path, threads: ThreadSettings, *, prefer_tflite: bool) -> Model:
    """Load a version's folder.

    Args:
        path: The folder.
        threads: TensorFlow's threads.
        prefer_tflite: Load `model.tflite` where the folder has one.

    Raises:
        ServingError: It cannot be loaded.
    """
    if prefer_tflite and (path / LITE_FILE).is_file():
        # A server whose versions are all SavedModels need not import LiteRT.
        from nightshift.serving.lite_model import load_lite_model

        return load_lite_model(path / LITE_FILE, threads)
    return load_saved_model(path, threads)
