"""Times in turns, memory in a process of its own, calibration rows from the whole window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from nightshift.compression import convert
from nightshift.compression.calibration import spread
from nightshift.compression.latency import measure_latency
from nightshift.compression.memory import peak_bytes
from nightshift.compression.processor import cores
from nightshift.compression.result import BATCH
from tests.unit.compression.conftest import Small


def test_every_model_is_timed_under_every_load(small: Small) -> None:
    models = {
        "float": convert.to_float(small.saved_model),
        "int8": convert.to_int8(small.saved_model, small.inputs),
    }
    found = measure_latency(models, small.inputs, seconds=0.1)
    loads = [(threads, rows) for threads in dict.fromkeys((1, cores())) for rows in (1, BATCH)]
    for latencies in found.values():
        assert [(t.threads, t.rows) for t in latencies] == loads
        assert all(0 < t.p50_ms <= t.p99_ms for t in latencies)
    rounds = [[t.rounds for t in latencies] for latencies in found.values()]
    assert rounds[0] == rounds[1]


def weights_of(size: int, folder: Path) -> Path:
    """A model whose one matrix has so many bytes."""
    module, side = tf.Module(), int((size / 4) ** 0.5)
    module.matrix = tf.Variable(tf.ones([side, side]))

    @tf.function(input_signature=[tf.TensorSpec([None, side], tf.float32, name="x")])
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probability": tf.matmul(x, module.matrix)}

    tf.saved_model.save(module, str(folder / "saved"), signatures=serve)
    path = folder / "model.tflite"
    path.write_bytes(convert.to_float(folder / "saved"))
    return path


def test_memory_grows_with_the_model(tmp_path: Path) -> None:
    peak = peak_bytes(weights_of(32_000_000, tmp_path), rows=1)
    # The file is mapped, and the kernels keep a copy in an order of their own.
    assert 30_000_000 < peak < 120_000_000


@pytest.mark.parametrize(("length", "count"), [(10, 3), (3, 10), (1, 5), (500, 500), (7, 1)])
def test_indices_are_spread_from_the_first_to_the_last(length: int, count: int) -> None:
    found = spread(length, count)
    assert len(found) == min(length, count)
    assert found[0] == 0
    assert len(set(found.tolist())) == len(found)
    assert count == 1 or found[-1] == length - 1
    gaps = np.diff(found)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1
