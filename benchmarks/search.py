"""A search of 12 trials on the real flights, killed after 5 and resumed by another process.

``benchmarks/search [NIGHT]``. The pipeline is ``flights`` as it is shipped (its window of 90 days,
its 5 epochs) with a ``tuning`` section. The step's process group is killed with SIGKILL, as a
machine that loses power would, once five trials have ended; then the same request is run again.
Afterwards the night is trained with the best parameters and with those of pipeline.yaml, and both
models are judged on the holdout, which the search has not seen.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tests.integration.servers import S3, SeaweedServer, make_buckets

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.artifacts.store import ArtifactStore
from nightshift.data.lake import Lake
from nightshift.data.seed import seed
from nightshift.definition.load import load_pipeline
from nightshift.definition.model import PipelineDefinition
from nightshift.definition.training import Tuning
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.launch import StepProcess
from nightshift.steps.plan import plan_step

TRIALS, KILLED_AFTER = 12, 5
SPACE: dict[str, Any] = {
    "learning_rate": {"low": 0.0001, "high": 0.01, "log": True},
    "global_batch_size": {"choices": [128, 256, 512, 1024]},
    "units_1": {"low": 16, "high": 128, "integer": True, "log": True},
    "units_2": {"low": 8, "high": 64, "integer": True, "log": True},
    "embedding": {"choices": [2, 4, 8, 16]},
}


class Night:
    """One night's steps, each a process, without Airflow."""

    def __init__(self, night: date, store: ArtifactStore) -> None:
        self.night, self.store = night, store
        plain = load_pipeline("flights")
        tuning = Tuning.model_validate({"space": SPACE, "trials": TRIALS})
        fields = {**plain.model_dump(), "tuning": tuning.model_dump(), "folder": plain.folder}
        self.definition = PipelineDefinition.model_validate(fields)

    def plan(self, step: str, inputs: dict[str, ArtifactRef]) -> StepRequest:
        """The request of one step."""
        return plan_step(STEPS[step], self.definition, self.night, inputs)

    def run(self, step: str, **inputs: ArtifactRef) -> StepResult:
        """Run a step to its end."""
        return ended(StepProcess(self.plan(step, inputs)), quiet)


def quiet(line: str) -> None:
    """Say nothing of what a step prints."""


def ended(process: StepProcess, on_line: Callable[[str], None]) -> StepResult:
    """Run a step that must not fail."""
    result = process.run(on_line)
    if result.error:
        raise SystemExit(f"{process.request.step}: {result.error.message}")
    return result


def kill_after(request: StepRequest, trials: int) -> tuple[int, float, list[int]]:
    """Run a search and kill it once so many trials have ended; returns how many, seconds, pids."""
    process, started = StepProcess(request), time.monotonic()
    told: list[str] = []
    pids: list[int] = []

    def hear(line: str) -> None:
        print(f"  {line}", flush=True)
        if line.startswith("trial "):
            told.append(line)
        if len(told) == trials and not pids:
            leader = process._process
            assert leader is not None
            pids.extend(group(leader.pid))
            os.killpg(leader.pid, signal.SIGKILL)

    thread = threading.Thread(target=process.run, args=(hear,))
    thread.start()
    thread.join()
    return len(told), time.monotonic() - started, pids


def group(leader: int) -> list[int]:
    """Processes of a group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == leader:
                found.append(int(folder.name))
        except ProcessLookupError:
            continue
    return found


def alive(pids: list[int]) -> list[int]:
    """Those of the processes that run; one that is dead and not yet reaped does not."""
    return [pid for pid in pids if state(pid) not in ("", "Z", "X")]


def state(pid: int) -> str:
    """A process's state as the kernel's letter; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def say(line: str) -> None:
    """Show a step's line."""
    print(f"  {line}", flush=True)


def measure(night: Night) -> None:
    """The whole benchmark."""
    snapshot = night.run("snapshot").artifact
    assert snapshot is not None
    request = night.plan("tune", {"snapshot": snapshot})
    print(f"Search, to be killed after {KILLED_AFTER} trials:")
    heard, first, pids = kill_after(request, KILLED_AFTER)
    time.sleep(0.5)
    left = alive(pids)
    print(f"Killed after {heard} trials, {first:.1f} s; {len(pids)} processes, left: {left}")
    print("Resumed:")
    started = time.monotonic()
    tuned = ended(StepProcess(request), say)
    second = time.monotonic() - started
    assert tuned.artifact is not None
    trials = tuned.facts["trials"]
    states = [trial["state"] for trial in trials]
    with_it = night.run("train", snapshot=snapshot, tune=tuned.artifact)
    without = night.run("train", snapshot=snapshot)
    scores = []
    for trained in (with_it, without):
        assert trained.artifact is not None
        evaluated = night.run("evaluate", snapshot=snapshot, train=trained.artifact)
        scores.append(evaluated.metrics)
    best, plain = (tuned.metrics[f"{n}_validation_loss"] for n in ("tuned", "untuned"))
    count = {state: states.count(state) for state in ("complete", "pruned", "fail")}
    rows = {
        "trials ended before the kill": f"{heard}, in {first:.1f} s",
        "processes killed; left after 0.5 s": f"{len(pids)}; {len(left)}",
        "trials taken over": f"{tuned.metrics['trials_from_earlier_attempts']:g}",
        "time of the resumed attempt": f"{second:.1f} s",
        "trials that count": f"{count['complete'] + count['pruned']}",
        "complete, pruned, cut off by the kill": ", ".join(map(str, count.values())),
        "validation loss, pipeline.yaml's parameters": f"{plain:.5f}",
        "validation loss, best parameters": f"{best:.5f}",
        "best parameters": json.dumps(tuned.facts["best"]),
        "holdout log loss, tuned and not": ", ".join(f"{s['log_loss']:.4f}" for s in scores),
        "holdout AUC, tuned and not": ", ".join(f"{s['auc']:.4f}" for s in scores),
    }
    print(f"\nNight {night.night}, {TRIALS} trials, {os.cpu_count()} cores:\n\n| | |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


def main() -> None:
    """Start an object store, fill it with the window's flights, measure."""
    night = date.fromisoformat(sys.argv[1] if len(sys.argv) > 1 else "2013-08-31")
    with tempfile.TemporaryDirectory() as folder, SeaweedServer(Path(folder)).start() as server:
        s3 = S3(server.ready(), "nightshift", "lake")
        make_buckets(server.client_environment, "nightshift", "lake")
        os.environ.update(s3.environment)
        lake = Lake(s3.lake, "flights")
        days = load_pipeline("flights").window.days
        seed(lake, first=night - timedelta(days - 1), last=night)
        measure(Night(night, ArtifactStore(s3.artifacts)))


if __name__ == "__main__":
    main()
