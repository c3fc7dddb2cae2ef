"""``flights`` as ``multi_worker`` on a Ray cluster of two nodes, one of which dies in mid-epoch.

S3 is all that the nodes share. Compared are, per epoch, the losses of: the same training on this
machine (``single``, and two local workers), on the two nodes, and on the two nodes with the second
one unplugged in mid-epoch, started again, and the step retried.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from two_machines import NETWORK, Machine, machines

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.integration.ray_node import RayNode
from tests.integration.servers import S3, SeaweedServer, make_buckets
from training_rig import Rig, processor

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.errors import ErrorKind
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.launch import StepProcess

SMALL_BATCH = 64
"""Rows of a batch: epochs of some seconds, so that there is a middle to kill in."""
TOLERANCE = 1e-4


@dataclass
class Run:
    """One way to train.

    Attributes:
        losses: At the end of each epoch.
        seconds: Wall time of the steps together.
        pace: Wall time of its fastest epoch.
        told: How often the end of each epoch was told, over all attempts.
        notes: What else is worth knowing.
    """

    name: str
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    pace: float = 0.0
    told: dict[int, int] = field(default_factory=dict)
    notes: str = ""


@dataclass
class Bench:
    """The rig and its snapshot."""

    rig: Rig
    snapshot: ArtifactRef

    def train(self, name: str, environment: Mapping[str, str], **training: Any) -> Run:
        """One undisturbed run."""
        run = Run(name)
        result = self.attempt(run, self.request(name, **training), environment)
        return finished(run, result)

    def request(self, name: str, **training: Any) -> StepRequest:
        """The step, under a key of its own."""
        return self.rig.train_request(
            self.snapshot, nonce=name, global_batch_size=SMALL_BATCH, **training
        )

    def attempt(
        self,
        run: Run,
        request: StepRequest,
        environment: Mapping[str, str],
        on_epoch: Callable[[int], None] = lambda epoch: None,
    ) -> StepResult:
        """Run the step once; hears of each epoch that ends."""

        def read(line: str) -> None:
            print(f"    {line}", flush=True)
            head, _, rest = line.partition("epoch ")
            if rest and head in ("", "worker-0: ", "[worker-0] "):
                epoch = int(rest.split("/")[0])
                run.told[epoch] = run.told.get(epoch, 0) + 1
                on_epoch(epoch)

        started = time.monotonic()
        print(f"{run.name}:", flush=True)
        result = StepProcess(request, environment).run(read)
        run.seconds += time.monotonic() - started
        return result


def finished(run: Run, result: StepResult) -> Run:
    """The run with what its model's history tells."""
    if result.error:
        raise SystemExit(f"{run.name}: {result.error.message}")
    run.losses = [epoch["loss"] for epoch in result.facts["epochs"]]
    run.pace = min(epoch["seconds"] for epoch in result.facts["epochs"])
    return run


ON_RAY = {"strategy": "multi_worker", "cluster": "ray", "workers": 2}


def disturbed(bench: Bench, head: RayNode, second: RayNode, machine: Machine, pace: float) -> Run:
    """Unplug the second node in the middle of epoch 3, start it again, retry the step.

    Args:
        pace: Seconds that an epoch takes.
    """
    run = Run("Ray, a node lost in epoch 3")
    request = bench.request(run.name, **ON_RAY)
    lost_at = 0.0

    def lose() -> None:
        nonlocal lost_at
        lost_at = time.monotonic()
        print("    --- the second node loses its cable and its power ---", flush=True)
        machine.unplug()
        second.kill()

    def on_epoch(epoch: int) -> None:
        if epoch == 2:
            # The line comes a second or two after the fact.
            threading.Timer(pace / 3, lose).start()

    failed = bench.attempt(run, request, head.client_environment, on_epoch)
    noticed = time.monotonic() - lost_at
    if failed.error is None or not lost_at:
        raise SystemExit("the node was lost and the step did not notice")
    facts = failed.error.facts
    if machine.address not in failed.error.message:
        raise SystemExit(f"the lost node is not named: {failed.error.message}")
    if not facts["step"]:
        raise SystemExit(f"the node was to be lost in mid-epoch: {facts}")
    print(f"    {failed.error.kind}: {failed.error.message}", flush=True)
    machine.plug()
    second.start().ready()
    retry = request.model_copy(update={"attempt": f"{request.attempt}2"})
    result = bench.attempt(run, retry, head.client_environment)
    resumed = result.facts.get("resumed_from")
    run.notes = (
        f"{facts['role']} lost after epoch {facts['epoch']}, step {facts['step']}; the step said "
        f"so {noticed:.1f} s later; resumed from {resumed}"
    )
    return finished(run, result)


def refused(bench: Bench, head: RayNode) -> None:
    """What a worker foresees comes back with its own kind."""
    run = Run("Ray, a learning rate that diverges")
    request = bench.request(run.name, learning_rate=1e30, epochs=1, **ON_RAY)
    error = bench.attempt(run, request, head.client_environment).error
    if error is None or error.kind is not ErrorKind.BAD_DEFINITION:
        raise SystemExit(f"{run.name}: {error}")
    print(f"    {error.kind}: {error.message}", flush=True)


def main() -> None:
    """Measure, print a table, fail where a loss differs or an epoch was trained twice."""
    # Ended early it must clean up all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        machines() as (first, other),
        tempfile.TemporaryDirectory() as folder,
        SeaweedServer(Path(folder), f"{NETWORK}.1").start() as server,
    ):
        s3 = S3(server.ready(), "benchmark", "benchmark-lake")
        make_buckets(server.client_environment, s3.artifacts.name, s3.lake.name)
        os.environ.update(s3.environment)
        rig = Rig(s3)
        rig.seed()
        bench = Bench(rig, rig.snapshot())
        runs = [
            bench.train("single", {}),
            bench.train("2 local workers", {}, strategy="multi_worker", workers=2),
        ]
        with node(s3, first) as head, node(s3, other, head.ready()) as second:
            second.ready()
            runs.append(bench.train("Ray, two nodes", head.client_environment, **ON_RAY))
            refused(bench, head)
            runs.append(disturbed(bench, head, second, other, runs[-1].pace))
    report(runs)


def node(s3: S3, machine: Machine, head: RayNode | None = None) -> RayNode:
    """A Ray node on one of the machines."""
    return RayNode(s3.environment, address=machine.address, head=head, inside=machine.inside)


def report(runs: list[Run]) -> None:
    """The table, in Markdown."""
    print(f"\n{processor()}; flights of 2013-08-31, batches of {SMALL_BATCH} rows\n")
    epochs = range(1, len(runs[0].losses) + 1)
    print("| | seconds | " + " | ".join(f"loss {n}" for n in epochs) + " | largest difference |")
    print("|---|---|" + "---|" * (len(epochs) + 1))
    wrong = []
    for run in runs:
        differences = [abs(a / b - 1) for a, b in zip(run.losses, runs[0].losses, strict=True)]
        losses = " | ".join(f"{loss:.6f}" for loss in run.losses)
        print(f"| {run.name} | {run.seconds:.1f} | {losses} | {max(differences):.1e} |")
        if max(differences) > TOLERANCE or set(run.told.values()) != {1}:
            wrong.append(f"{run.name}: {max(differences):.1e}, epochs told {run.told}")
    print(*(f"\n{run.name}: {run.notes}" for run in runs if run.notes), sep="\n")
    if wrong:
        raise SystemExit("not the same training: " + "; ".join(wrong))


if __name__ == "__main__":
    main()
