"""Training killed at random moments: what is repeated, what is left, what comes out.

``benchmarks/training_kills [KILLS [SEED]]``: so many (10) jobs of ``multi_worker`` with two
processes, each killed once by ``kill -9`` at a random moment of its training: a worker, the chief
(worker 0) or the whole job with the step that started it. The retry must end with the metrics of
the undisturbed run.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from training_rig import Rig, processor, rig

from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.launch import StepProcess

EPOCHS, BATCH, WORKERS = 6, 256, 2
VICTIMS = ("worker-1", "worker-0", "job")
JOB = {
    "strategy": "multi_worker",
    "workers": WORKERS,
    "epochs": EPOCHS,
    "global_batch_size": BATCH,
}


@dataclass
class Killed:
    """One job that was killed once."""

    victim: str
    after: float
    """Seconds of training before the kill."""
    reached: float = 0.0
    """Epochs trained when it was killed, by the clock: complete ones, and a part of the next."""
    resumed: int = 0
    """Epochs that the retry found in a checkpoint."""
    orphans: int = 0
    partial: int = 0
    """Artifacts with a manifest whose files are not all there."""
    apart: float = 0.0
    """Largest relative difference of an epoch's loss from the undisturbed run's."""
    told: str = ""
    lines: list[str] = field(default_factory=list)


def processes_of(request: StepRequest) -> list[psutil.Process]:
    """The step's process and its job's, found by the attempt's name in their files."""
    found = []
    for process in psutil.process_iter():
        try:
            files = [Path(part) for part in process.cmdline() if part.endswith(".json")]
            if any(request.attempt in file.read_text() for file in files):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def kill_once(bench: Rig, request: StepRequest, kill: Killed, epoch_seconds: float) -> None:
    """Start the step, kill what is to be killed, wait until all is over."""
    step = StepProcess(request)
    first = threading.Event()
    begun: list[float] = []

    def hear(line: str) -> None:
        kill.lines.append(line)
        if re.search(r"epoch \d+/", line):
            begun.append(time.monotonic())
            first.set()

    results: list[StepResult] = []
    thread = threading.Thread(target=lambda: results.append(step.run(hear)))
    thread.start()
    assert first.wait(120), kill.lines
    time.sleep(kill.after)
    kill.reached = len(begun) + min(0.99, (time.monotonic() - begun[-1]) / epoch_seconds)
    family = processes_of(request)
    for process in family:
        name = Path(process.cmdline()[-1]).name
        if kill.victim in (name, "job"):
            os.kill(process.pid, signal.SIGKILL)
    thread.join(60)
    kill.orphans = len(psutil.wait_procs(family, timeout=10)[1])
    error = results[0].error if results else None
    kill.told = error.message.splitlines()[0][:90] if error else "ended before it was killed"


def partial_artifacts(bench: Rig) -> int:
    """Committed artifacts that lack a file or hold other bytes than their manifest says."""
    from nightshift.artifacts.manifest import Manifest

    keys = {item.key: item.size for item in bench.s3.artifacts.list("flights/")}
    damaged = 0
    for key in keys:
        if not key.endswith("/manifest.json"):
            continue
        manifest = Manifest.model_validate_json(bench.s3.artifacts.get(key).body)
        folder = f"{key.removesuffix('manifest.json')}{manifest.attempt}/"
        damaged += any(keys.get(folder + n) != f.size for n, f in manifest.files.items())
    return damaged


def losses(result: StepResult) -> list[float]:
    """Of each epoch."""
    assert result.error is None, result.error
    return [epoch["loss"] for epoch in result.facts["epochs"]]


def main() -> None:
    """Measure and print a table in Markdown."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    draw = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    with rig() as bench:
        bench.seed()
        snapshot = bench.snapshot()
        print(f"flights, {WORKERS} processes, {EPOCHS} epochs, {processor()}\n")
        undisturbed = bench.run(bench.train_request(snapshot, **JOB))
        expected = losses(undisturbed)
        pace = [epoch["seconds"] for epoch in undisturbed.facts["epochs"]][1:]
        print("| killed | trained | resumed after | repeated | orphans | partial | loss apart |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for number in range(kills):
            left = sum(pace) * 0.95
            kill = Killed(VICTIMS[number % len(VICTIMS)], draw.uniform(0.0, left))
            request = bench.train_request(snapshot, nonce=f"kill-{number}", **JOB)
            kill_once(bench, request, kill, sum(pace) / len(pace))
            kill.partial = partial_artifacts(bench)
            retry = bench.run(bench.train_request(snapshot, nonce=f"kill-{number}", **JOB))
            found = losses(retry)
            resumed = retry.facts.get("resumed_from") or {}
            kill.resumed = int(resumed.get("epoch", 0))
            kill.apart = max(abs(a - b) / b for a, b in zip(found, expected, strict=True))
            print(
                f"| {kill.victim} | {kill.reached:.2f} epochs | {kill.resumed} | "
                f"{max(0.0, kill.reached - kill.resumed):.2f} | {kill.orphans} | {kill.partial} | "
                f"{kill.apart:.1e} |",
                flush=True,
            )
            print(f"  {kill.told}", file=sys.stderr, flush=True)
        left_over = list(bench.s3.artifacts.list("flights/artifacts/checkpoint/"))
        print(f"\ncheckpoint files left after all were committed: {len(left_over)}")


if __name__ == "__main__":
    main()
