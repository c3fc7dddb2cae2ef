"""How long models take, measured in turns: what disturbs one disturbs all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nightshift.compression.litert import LiteModel, quantized
from nightshift.compression.processor import cores
from nightshift.compression.result import BATCH, Latency

_ROUNDS = 400
_FEWEST_ROUNDS = 20
_SECONDS = 6.0
_WARM_UPS = 3


def measure_latency(
    models: Mapping[str, bytes], inputs: Mapping[str, NDArray[Any]], *, seconds: float = _SECONDS
) -> dict[str, tuple[Latency, ...]]:
    """Times of each model: one row and a batch, one thread and all, the models in turns.

    Args:
        models: ``.tflite`` files by name.
        inputs: Real examples by feature, at least one; a batch repeats them where there are few.
        seconds: At most so long (after the first rounds) for each of the loads.
    """
    found: dict[str, list[Latency]] = {name: [] for name in models}
    for threads in dict.fromkeys((1, cores())):
        loaded = {name: LiteModel(content, threads) for name, content in models.items()}
        for rows in (1, BATCH):
            part = {name: np.resize(v, (rows, *v.shape[1:])) for name, v in inputs.items()}
            for name, times in _in_turns(loaded, part, seconds).items():
                found[name].append(_latency(times, threads, rows))
    return {name: tuple(latencies) for name, latencies in found.items()}


def _in_turns(
    models: Mapping[str, LiteModel], inputs: Mapping[str, NDArray[Any]], seconds: float
) -> dict[str, list[float]]:
    tensors = {
        name: {n: quantized(inputs[n], detail) for n, detail in model.inputs.items()}
        for name, model in models.items()
    }
    for name, model in models.items():
        for _ in range(_WARM_UPS):
            _once(model, tensors[name])
    times: dict[str, list[float]] = {name: [] for name in models}
    order, until = list(models), time.monotonic() + seconds
    for number in range(_ROUNDS):
        if number >= _FEWEST_ROUNDS and time.monotonic() > until:
            break
        # Another one begins each round: whoever comes after a large model finds a cold cache.
        turn = number % len(order)
        for name in (*order[turn:], *order[:turn]):
            times[name].append(_once(models[name], tensors[name]))
    return times


def _once(model: LiteModel, tensors: Mapping[str, NDArray[Any]]) -> float:
    started = time.perf_counter()
    model.place(tensors)
    model.answer()
    return time.perf_counter() - started


def _latency(times: Sequence[float], threads: int, rows: int) -> Latency:
    p50, p99 = np.percentile(np.asarray(times) * 1000, [50, 99])
    return Latency(
        threads=threads, rows=rows, p50_ms=float(p50), p99_ms=float(p99), rounds=len(times)
    )
