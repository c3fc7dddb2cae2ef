"""The same flights, seed and global batch by every strategy.

``benchmarks/strategies [SEEDS [FIRST]]`` prints the losses of every epoch by ``single``,
``mirrored`` over two logical devices and ``multi_worker`` with 2 and 3 processes, their largest
relative difference, and the holdout AUC of so many seeds (5), from seed FIRST (1) on, by
``single`` and by ``parameter_server``.

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


def by_seed(rig: Rig, snapshot: ArtifactRef, seeds: int, **training: Any) -> list[float]:
    """Holdout AUC of each seed."""
    found = []
    for seed in range(1, seeds + 1):
        result, _ = train(rig, snapshot, seed=seed, **training)
        assert result.artifact is not None
        inputs = {"snapshot": snapshot, "train": result.artifact}
        judged = rig.run(rig.request(EVALUATE, rig.definition, inputs))
        assert judged.error is None, judged.error
        found.append(judged.metrics["auc"])
    return found


def main() -> None:
    """Measure and print tables in Markdown."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with rig() as bench:
        bench.seed()
        snapshot = bench.snapshot()
        print(f"flights, night {NIGHT}, {processor()}\n", flush=True)
        in_step(bench, snapshot)
        if not seeds:
            return
        single = by_seed(bench, snapshot, seeds)
        served = by_seed(bench, snapshot, seeds, **SERVED)
    print("\n| holdout AUC | least | median | most |\n|---|---|---|---|")
    for name, found in (("single", single), ("parameter_server, 2 workers", served)):
        print(f"| {name} | {min(found):.4f} | {statistics.median(found):.4f} | {max(found):.4f} |")
    inside = min(single) <= statistics.median(served) <= max(single)
    print(f"\nmedian of parameter_server within the range of single: {'yes' if inside else 'NO'}")


if __name__ == "__main__":
    main()
