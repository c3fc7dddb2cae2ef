"""The model server with faults that a SavedModel cannot have: for tests and benchmarks alone.

A version's folder may hold ``assets.extra/fault.json``: ``{"fault": "slow", "amount": 50}``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from nightshift.serving import model as model_module
from nightshift.serving import servable, server
from nightshift.serving.errors import ServingError, StatusCode
from nightshift.serving.model import Model
from nightshift.serving.signature import Signature, Tensor

FAULT_FILE = "assets.extra/fault.json"
LEAK: list[np.ndarray[Any, Any]] = []


class FaultyModel:
    """A loaded version that does one thing wrong."""

    def __init__(self, model: Model, fault: str, amount: float) -> None:
        self._model = model
        self._fault = fault
        self._amount = amount
        self._requests = count(1)
        self.signature_defs = model.signature_defs
        self.signatures = model.signatures

    def run(self, signature: Signature, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run the signature, and go wrong."""
        number = next(self._requests)
        self._before(number)
        outputs = self._model.run(signature, inputs)
        if self._fault == "rare nan" and number % int(self._amount) == 0:
            return {name: np.full_like(value, np.nan) for name, value in outputs.items()}
        return outputs

    def close(self) -> None:
        """Free the model, and what it leaked."""
        LEAK.clear()
        self._model.close()

    def _before(self, number: int) -> None:
        match self._fault:
            case "crashes on a request" if number >= self._amount:
                os._exit(9)
            case "slow":
                time.sleep(self._amount / 1000)
            case "leaks":
                LEAK.append(np.ones(int(self._amount * 1e6), np.uint8))
            case "errors" if number % int(1 / self._amount) == 0:
                raise ServingError(StatusCode.INTERNAL, "planted: one request in so many fails")
            case "errors over gRPC" if threading.current_thread().name.startswith("grpc"):
                raise ServingError(StatusCode.INTERNAL, "planted: gRPC fails")


def load_model(path: Path, *arguments: Any, **options: Any) -> Model:
    """Load a version as the server does, then plant what its folder asks for."""
    loaded = model_module.load_model(path, *arguments, **options)
    try:
        planted = json.loads((path / FAULT_FILE).read_text(encoding="utf-8"))
    except OSError:
        return loaded
    if planted["fault"] == "crashes on load":
        os._exit(9)
    return FaultyModel(loaded, planted["fault"], float(planted["amount"]))


if __name__ == "__main__":
    servable.load_model = load_model  # type: ignore[attr-defined]
    code = server.main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
