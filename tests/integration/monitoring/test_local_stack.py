"""The local stack's Prometheus under the real supervisor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import httpx
import pytest

from nightshift.stack.health import is_healthy
from nightshift.stack.monitoring import firing, write_config
from nightshift.stack.ports import Ports
from nightshift.stack.processes import Process, processes
from nightshift.stack.remnants import end_remnants
from nightshift.stack.runtime_build import default_root
from nightshift.stack.settings import StackSettings, installed_prometheus
from nightshift.stack.supervision import Supervisor
from tests.integration.ports import free_port
from tests.integration.prometheus import needs_prometheus
from tests.integration.servers import wait_until

pytestmark = needs_prometheus


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[StackSettings]:
    ports = Ports(*(free_port() for _ in fields(Ports)))
    settings = StackSettings(
        tmp_path / "stack", ports=ports, runtimes=default_root(), prometheus=installed_prometheus()
    )
    settings.make_folders()
    yield settings
    end_remnants(settings)


@pytest.fixture
def prometheus(settings: StackSettings) -> Process:
    (process,) = [p for p in processes(settings) if p.name == "prometheus"]
    return process


def test_it_runs_with_the_shipped_rules_and_jobs_and_keeps_its_data_in_the_stack(
    settings: StackSettings, prometheus: Process
) -> None:
    write_config(settings)
    supervisor = Supervisor(settings, (prometheus,))
    supervisor.ensure()
    supervisor.start("prometheus")
    wait_until(lambda: is_healthy(prometheus), seconds=60, every=0.5, what="Prometheus is ready")
    url = f"http://127.0.0.1:{settings.ports.prometheus}/api/v1"
    groups = httpx.get(f"{url}/rules", timeout=10).json()["data"]["groups"]
    assert "ReleaseStuck" in {rule["name"] for group in groups for rule in group["rules"]}
    # It looks for its targets every five seconds.
    wait_until(lambda: len(_targets(url)) == 6, seconds=60, every=1, what="six targets")
    assert list(firing(settings)) == []
    assert (settings.data / "prometheus/wal").is_dir()
    supervisor.shut_down()
    (line,) = firing(settings)
    assert line.startswith("No word on alerts")


def _targets(url: str) -> list[object]:
    found = httpx.get(f"{url}/targets", timeout=10).json()["data"]["activeTargets"]
    assert isinstance(found, list)
    return found
