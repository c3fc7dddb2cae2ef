"""The same flights, seed and global batch by every strategy.

``benchmarks/strategies [SEEDS [FIRST]]`` prints the losses of every epoch by ``single``,
``mirrored`` over two logical devices and ``multi_worker`` with 2 and 3 processes, their largest
relative difference, and the holdout AUC of so many seeds (5), from seed FIRST (1) on, by
``single`` and by ``parameter_server``.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

from training_rig import NIGHT, Rig, processor, rig

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.steps.catalog import EVALUATE
from nightshift.steps.contract import StepResult

IN_STEP: dict[str, dict[str, Any]] = {
    "single": {},
    "mirrored, 2 devices": {"strategy": "mirrored", "workers": 2},
    "multi_worker, 2 processes": {"strategy": "multi_worker", "workers": 2},
    "multi_worker, 3 processes": {"strategy": "multi_worker", "workers": 3},
}
SERVED = {"strategy": "parameter_server", "workers": 2, "parameter_servers": 1}


def train(rig: Rig, snapshot: ArtifactRef, **training: Any) -> tuple[StepResult, float]:
    """One training, with its wall time."""
    started = time.monotonic()
    result = rig.run(rig.train_request(snapshot, **training))
    assert result.error is None, result.error
    return result, time.monotonic() - started


def losses(result: StepResult) -> list[float]:
    """Of each epoch."""
    return [epoch["loss"] for epoch in result.facts["epochs"]]


def in_step(rig: Rig, snapshot: ArtifactRef) -> None:
    """Strategies whose workers wait for each other: the same losses."""
    found = {}
    print("| strategy | losses by epoch | largest difference from single | train step |")
    print("|---|---|---|---|")
    for name, training in IN_STEP.items():
        result, seconds = train(rig, snapshot, **training)
        found[name] = losses(result)
        apart = max(abs(a - b) / b for a, b in zip(found[name], found["single"], strict=True))
        shown = " ".join(f"{loss:.8f}" for loss in found[name])
        print(f"| {name} | {shown} | {apart:.1e} | {seconds:.1f} s |", flush=True)


def auc(rig: Rig, snapshot: ArtifactRef, **training: Any) -> float:
    """Of the holdout."""
    result, _ = train(rig, snapshot, **training)
    assert result.artifact is not None
    inputs = {"snapshot": snapshot, "train": result.artifact}
    judged = rig.run(rig.request(EVALUATE, rig.definition, inputs))
    assert judged.error is None, judged.error
    return judged.metrics["auc"]


def by_seed(rig: Rig, snapshot: ArtifactRef, seeds: range) -> None:
    """Workers that do not wait: another model each time, which must be as good."""
    single, served = [], []
    print("\n| seed | AUC of single | AUC of parameter_server |\n|---|---|---|", flush=True)
    for seed in seeds:
        single.append(auc(rig, snapshot, seed=seed))
        served.append(auc(rig, snapshot, seed=seed, **SERVED))
        print(f"| {seed} | {single[-1]:.4f} | {served[-1]:.4f} |", flush=True)
    median = statistics.median(served)
    inside = min(single) <= median <= max(single)
    print(
        f"\nmedian of parameter_server {median:.4f}, single from {min(single):.4f} to "
        f"{max(single):.4f}: {'within' if inside else 'OUTSIDE'}"
    )


def main() -> None:
    """Measure and print tables in Markdown."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with rig() as bench:
        bench.seed()
        snapshot = bench.snapshot()
        print(f"flights, night {NIGHT}, {processor()}\n", flush=True)
        if first == 1:
            in_step(bench, snapshot)
        if seeds:
            by_seed(bench, snapshot, range(first, first + seeds))


if __name__ == "__main__":
    main()
