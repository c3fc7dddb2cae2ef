"""The local stack's Prometheus: Debian's, where installed, with the shipped jobs and rules."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from nightshift.errors import UnavailableError
from nightshift.stack.environment import metrics_token_file
from nightshift.stack.passwords import write_private
from nightshift.stack.settings import StackSettings

SHIPPED = "include/monitoring"
MISSING = (
    "Prometheus is not installed, so nobody watches the alerts: "
    "apt-get install --no-install-recommends prometheus, then ./nightshift up"
)
_SECONDS = 3.0


def config_file(settings: StackSettings) -> Path:
    """What the stack's Prometheus reads."""
    return settings.run / "prometheus.yml"


def write_config(settings: StackSettings) -> None:
    """Write the configuration, and the token that it shows, for their owner alone."""
    token = metrics_token_file(settings)
    write_private(token, settings.passwords.metrics_token)
    shipped = settings.project / SHIPPED
    config = local_config((shipped / "prometheus.yml").read_text(encoding="utf-8"), settings, token)
    write_private(config_file(settings), yaml.safe_dump(config, sort_keys=False))


def local_config(shipped: str, settings: StackSettings, token: Path) -> dict[str, Any]:
    """The shipped configuration with this stack's addresses.

    Args:
        shipped: Text of ``include/monitoring/prometheus.yml``.
        settings: The stack.
        token: File with the token for the metrics of agent and Airflow.

    Raises:
        UnavailableError: The shipped file names a target that the local stack has not.
    """
    config: dict[str, Any] = yaml.safe_load(shipped)
    # No Alertmanager here: alerts are seen in Prometheus and by ./nightshift status.
    del config["alerting"]
    rules = settings.project / SHIPPED
    config["rule_files"] = [str(rules / name) for name in config["rule_files"]]
    for job in config["scrape_configs"]:
        if "authorization" in job:
            job["authorization"]["credentials_file"] = str(token)
        for group in job["static_configs"]:
            group["targets"] = [_local(target, settings) for target in group["targets"]]
    return config


def _local(target: str, settings: StackSettings) -> str:
    ports = settings.ports
    known = {
        "agent:8530": ports.agent,
        "airflow-api-server:8080": ports.airflow,
        "envoy:9901": ports.envoy_admin,
        "model-server-blue:8511": ports.blue_rest,
        "model-server-green:8521": ports.green_rest,
        "127.0.0.1:9090": ports.prometheus,
    }
    if target not in known:
        raise UnavailableError(
            f"{SHIPPED}/prometheus.yml scrapes {target}, which the local stack does not have; "
            f"it has {', '.join(known)}."
        )
    return f"127.0.0.1:{known[target]}"


def firing(settings: StackSettings) -> Iterator[str]:
    """What is wrong now, a line for each alert that fires; one line where Prometheus is away."""
    url = f"http://127.0.0.1:{settings.ports.prometheus}/api/v1/alerts"
    # Not through a proxy that this shell may name.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_SECONDS) as answer:
            alerts = json.load(answer)["data"]["alerts"]
    except (OSError, ValueError, KeyError) as error:
        yield f"No word on alerts from Prometheus at {url}: {error}"
        return
    for alert in alerts:
        if alert["state"] == "firing":
            yield f"ALERT {alert['labels']['alertname']}: {alert['annotations']['summary']}"
