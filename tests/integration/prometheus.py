"""A real Prometheus for tests, with the shipped jobs and rules, on ports of its own."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import yaml

from nightshift.stack.monitoring import SHIPPED, local_config
from nightshift.stack.ports import Ports
from nightshift.stack.settings import PROJECT, StackSettings
from tests.integration.ports import free_port
from tests.integration.servers import ServerProcess, answers

MONITORING = PROJECT / SHIPPED
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None,
    reason="Prometheus is not installed: apt-get install --no-install-recommends prometheus",
)
ALERTMANAGER = "prometheus-alertmanager"
needs_alertmanager = pytest.mark.skipif(
    shutil.which(ALERTMANAGER) is None,
    reason=f"Alertmanager is not installed: apt-get install {ALERTMANAGER}",
)


class Prometheus(ServerProcess):
    """Scrapes what the local stack's would, every two seconds.

    Args:
        folder: For its data, its configuration and its log.
        ports: Where agent, Envoy and model servers are.
        token: What it shows the agent.
        more: Further targets, by job.
        alertmanager: Where alerts go.
        wait: How long an alert waits before it fires, instead of what its rule says.
    """

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        token: str,
        *,
        more: dict[str, str] | None = None,
        alertmanager: str = "",
        wait: str | None = None,
    ) -> None:
        self.port = free_port()
        folder.mkdir(parents=True)
        shown = folder / "token"
        shown.write_text(token)
        settings = StackSettings(folder, ports=replace(ports, prometheus=self.port))
        config = local_config((MONITORING / "prometheus.yml").read_text(), settings, shown)
        config["global"] = {
            "scrape_interval": "2s",
            "scrape_timeout": "2s",
            "evaluation_interval": "1s",
        }
        for job in config["scrape_configs"]:
            job.pop("scrape_interval", None)
            if target := (more or {}).get(job["job_name"]):
                job["static_configs"].append({"targets": [target]})
        if alertmanager:
            targets = [{"static_configs": [{"targets": [alertmanager]}]}]
            config["alerting"] = {"alertmanagers": targets}
        if wait is not None:
            config["rule_files"] = [str(_hurried(folder, wait))]
        file = folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        super().__init__(
            [
                shutil.which("prometheus") or "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
            ],
            folder / "prometheus.log",
        )

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> Self:
        """Wait until it answers."""
        return self.wait_for(
            lambda: answers(f"{self.url}/-/ready"), seconds=60, what="Prometheus is ready"
        )

    def over(self, expression: str, *, seconds: float) -> list[float]:
        """All values that an expression had of late, of all its series."""
        now = time.time()
        asked = {"query": expression, "start": now - seconds, "end": now, "step": 1}
        found = self._get("query_range", **{name: str(value) for name, value in asked.items()})
        return [float(value) for series in found["result"] for _, value in series["values"]]

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        alerts = self._get("alerts")["alerts"]
        return {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"}

    def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/api/v1/{what}", params=parameters, timeout=10)
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data


class Alertmanager(ServerProcess):
    """The shipped routes, both receivers being a web hook of their own.

    Args:
        folder: For its data, its configuration and its log.
        hooks: Base address; alerts are posted to ``<hooks>/<name of the receiver>``.
    """

    def __init__(self, folder: Path, hooks: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        folder.mkdir(parents=True)
        config = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
        config["route"]["group_wait"] = "1s"
        for receiver in config["receivers"]:
            receiver["webhook_configs"] = [{"url": f"{hooks}/{receiver['name']}"}]
        file = folder / "alertmanager.yml"
        file.write_text(yaml.safe_dump(config))
        super().__init__(
            [
                shutil.which(ALERTMANAGER) or ALERTMANAGER,
                f"--config.file={file}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address={self.address}",
                "--cluster.listen-address=",
            ],
            folder / "alertmanager.log",
        )

    def ready(self) -> Self:
        """Wait until it answers."""
        return self.wait_for(
            lambda: answers(f"http://{self.address}/-/ready"), seconds=60, what="Alertmanager"
        )


def _hurried(folder: Path, wait: str) -> Path:
    """The shipped rules, each waiting no longer than that."""
    rules = yaml.safe_load((MONITORING / "rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = wait
    file = folder / "rules.yml"
    file.write_text(yaml.safe_dump(rules))
    return file
