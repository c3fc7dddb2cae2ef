"""What a step takes of its machine, under MLflow's names."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nightshift.training.system_usage import SystemUsage


def test_it_samples_machine_and_step_while_the_block_runs() -> None:
    with SystemUsage() as usage:
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
    last = usage.samples[-1]
    assert 0 < last["system_memory_usage_percentage"] < 100
    assert last["step_memory_usage_megabytes"] > 10
    assert last["step_cpu_utilization_percentage"] > 20
    assert abs(last["at"] / 1000 - time.time()) < 60


def test_gpus_are_asked_of_their_own_tool_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '87, 1000, 4000, 70.5'\necho '3, 10, 4000, 20.0'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with SystemUsage() as usage:
        pass
    last = usage.samples[-1]
    assert last["gpu_0_utilization_percentage"] == 87
    assert last["gpu_0_memory_usage_percentage"] == 25
    assert last["gpu_1_power_usage_watts"] == 20


def test_a_tool_that_does_not_work_is_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'no driver'; exit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with SystemUsage() as usage:
        pass
    assert not [name for name in usage.samples[-1] if name.startswith("gpu")]
