"""Seconds that each DAG file takes after Airflow's own import: median of ten fresh processes."""

from __future__ import annotations

import json
import runpy
import statistics
import subprocess
import sys
import time
from pathlib import Path

DAGS = Path(__file__).parents[1] / "dags"
ROUNDS = 10
HEAVY = (
    "tensorflow",
    "tensorflow_data_validation",
    "great_expectations",
    "pandas",
    "pyarrow",
    "mlflow",
)


def parse(file: str) -> None:
    """In a process of its own: import Airflow, then run the file; prints JSON."""
    import airflow.sdk  # noqa: F401

    started = time.perf_counter()
    runpy.run_path(file)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "heavy": [m for m in HEAVY if m in sys.modules]}))


def main() -> None:
    """A table in Markdown."""
    print("| file | median s | slowest s | heavy modules |\n|---|---|---|---|")
    for file in sorted(DAGS.glob("*.py")):
        rounds = [
            json.loads(
                subprocess.run(
                    [sys.executable, __file__, str(file)],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout.splitlines()[-1]
            )
            for _ in range(ROUNDS)
        ]
        seconds = [r["seconds"] for r in rounds]
        heavy = sorted({m for r in rounds for m in r["heavy"]}) or ["none"]
        print(
            f"| {file.name} | {statistics.median(seconds):.3f} | {max(seconds):.3f} "
            f"| {', '.join(heavy)} |"
        )


if __name__ == "__main__":
    parse(sys.argv[1]) if len(sys.argv) > 1 else main()
