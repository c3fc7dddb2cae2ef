"""What a step takes of its machine, by the names that MLflow's page of system metrics knows."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from typing import Any, Self

import psutil

MOST_SAMPLES = 120
"""Kept; where a step takes longer, every other sample goes and the next come half as often."""

_FIRST_EVERY = 1.0
_GPU_QUERY = "utilization.gpu,memory.used,memory.total,power.draw"
_MEGABYTE = 1e6


class SystemUsage:
    """Samples processor, memory and GPUs (where ``nvidia-smi`` is) while a block runs.

    ``samples`` holds one mapping per sample: ``at`` (milliseconds since 1970) and numbers by
    MLflow's names without ``system/``; those that begin with ``step_`` are of this process and its
    children, all others of the whole machine.
    """

    def __init__(self) -> None:
        self.samples: list[dict[str, Any]] = []
        self._every = _FIRST_EVERY
        self._begun = threading.Event()
        self._over = threading.Event()
        self._processes: dict[int, psutil.Process] = {}
        self._nvidia = shutil.which("nvidia-smi")
        self._thread = threading.Thread(target=self._watch, name="usage", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._begun.wait()  # or a block that is short would be over before it is counted
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        # psutil counts from a thread's call to its next one: the first has nothing to count from.
        try:
            self._sample()
        finally:
            self._begun.set()
        self.samples.clear()
        while not self._over.wait(self._every):
            self._sample()
            if len(self.samples) > MOST_SAMPLES:
                del self.samples[::2]
                self._every *= 2
        self._sample()

    def _sample(self) -> None:
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage("/")
        self.samples.append(
            {
                "at": int(time.time() * 1000),
                "cpu_utilization_percentage": psutil.cpu_percent(),
                "system_memory_usage_megabytes": round(memory.used / _MEGABYTE, 1),
                "system_memory_usage_percentage": round(100 * memory.used / memory.total, 1),
                "disk_usage_percentage": disk.percent,
                **self._of_step(),
                **self._of_gpus(),
            }
        )

    def _of_step(self) -> dict[str, float]:
        """Of this process and its children; a core that is busy is 100 per cent."""
        own = psutil.Process()
        known = {p.pid: p for p in (own, *own.children(recursive=True))}
        # psutil measures from call to call on the same object.
        self._processes = {pid: self._processes.get(pid, p) for pid, p in known.items()}
        busy = resident = 0.0
        for process in self._processes.values():
            try:
                busy += process.cpu_percent()
                resident += process.memory_info().rss
            except psutil.Error:  # it has just ended
                continue
        return {
            "step_cpu_utilization_percentage": round(busy, 1),
            "step_memory_usage_megabytes": round(resident / _MEGABYTE, 1),
        }

    def _of_gpus(self) -> dict[str, float]:
        if self._nvidia is None:
            return {}
        command = [self._nvidia, f"--query-gpu={_GPU_QUERY}", "--format=csv,noheader,nounits"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
            return _gpus(told.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            self._nvidia = None  # no driver, or one that does not know: not asked again
            return {}


def _gpus(told: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for number, line in enumerate(told.strip().splitlines()):
        busy, used, total, watts = (float(word) for word in line.split(","))
        found |= {
            f"gpu_{number}_utilization_percentage": busy,
            f"gpu_{number}_memory_usage_megabytes": used * 1.048576,
            f"gpu_{number}_memory_usage_percentage": round(100 * used / total, 1),
            f"gpu_{number}_power_usage_watts": watts,
        }
    return found
