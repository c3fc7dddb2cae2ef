"""One night through Airflow, cold, against the same work as one plain script per runtime.

``benchmarks/night NIGHT [ROUNDS]`` on a stack that ``./nightshift demo`` has seeded. Every round
forces the night, so that nothing is reused, then runs the plain scripts. Both in turns, in one
run of this command, so that the machine's mood falls on both.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from nightshift.runtimes import Runtime, python_of
from nightshift.stack.airflow_api import AirflowApi
from nightshift.stack.environment import step_environment
from nightshift.stack.settings import StackSettings, current_settings

PLAIN = (("ml-before", Runtime.ML), ("validation", Runtime.VALIDATION), ("ml", Runtime.ML))


@dataclass
class Round:
    """One night both ways; seconds."""

    airflow: float
    plain: float
    tasks: dict[str, float] = field(default_factory=dict)
    scripts: dict[str, float] = field(default_factory=dict)
    processes: int = 0
    tensorflow: int = 0


def through_airflow(api: AirflowApi, night: str) -> Round:
    """Trigger the night with force; from the request to the end of the last task."""
    started = time.monotonic()
    run = api.trigger("retrain_flights", {"night": night, "force": True})
    while not run.state.ended:
        time.sleep(0.2)
        run = api.run(run.dag_id, run.run_id)
    wall = time.monotonic() - started
    result = Round(airflow=wall, plain=0.0)
    for task in api.tasks(run):
        result.tasks[task.task_id] = task.seconds
        left = api.xcom(run, task.task_id) or {}
        left = json.loads(left) if isinstance(left, str) else left
        if "tensorflow" in left:
            result.processes += not left["reused"]
            result.tensorflow += bool(left["tensorflow"])
    if run.state != "success":
        raise SystemExit(f"the night failed: {run.run_id}")
    result.tasks["(between tasks and before the first)"] = wall - critical_path(result.tasks)
    return result


def critical_path(tasks: dict[str, float]) -> float:
    """Seconds of the longest chain: statistics and expectations run side by side."""
    checks = max(tasks["statistics"], tasks["expectations"])
    return checks + sum(
        s for name, s in tasks.items() if name not in ("statistics", "expectations")
    )


def as_plain_scripts(settings: StackSettings, night: str) -> dict[str, float]:
    """Each runtime's script in turn, process start included."""
    walls = {}
    with tempfile.TemporaryDirectory() as folder:
        for part, runtime in PLAIN:
            script = Path(__file__).parent / "plain.py"
            started = time.monotonic()
            subprocess.run(
                [str(python_of(runtime)), str(script), part, night, folder],
                env=step_environment(settings, runtime),
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            walls[part] = time.monotonic() - started
    return walls


def main() -> None:
    """Measure and print a table in Markdown."""
    night = sys.argv[1] if len(sys.argv) > 1 else "2013-08-31"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    settings = current_settings()
    measured = []
    with AirflowApi(settings) as api:
        for _ in range(rounds):
            one = through_airflow(api, night)
            one.scripts = as_plain_scripts(settings, night)
            one.plain = sum(one.scripts.values())
            measured.append(one)
            print(f"Airflow {one.airflow:.1f} s, plain {one.plain:.1f} s", flush=True)
    report(night, measured)


def report(night: str, measured: list[Round]) -> None:
    """Medians over the rounds."""
    airflow = statistics.median(r.airflow for r in measured)
    plain = statistics.median(r.plain for r in measured)
    print(f"\nNight {night}, {len(measured)} rounds, medians:\n")
    print("| | seconds |\n|---|---|")
    print(f"| through Airflow | {airflow:.1f} |\n| plain scripts | {plain:.1f} |")
    print(f"| ratio | {airflow / plain:.2f} |")
    for name in measured[0].tasks:
        print(f"| task {name} | {statistics.median(r.tasks[name] for r in measured):.1f} |")
    for name in measured[0].scripts:
        print(f"| script {name} | {statistics.median(r.scripts[name] for r in measured):.1f} |")
    print(f"| step processes | {measured[-1].processes} |")
    print(f"| of them importing TensorFlow | {measured[-1].tensorflow} |")


if __name__ == "__main__":
    main()
