"""The local stack's Prometheus: the shipped jobs and rules, this stack's addresses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from nightshift.errors import UnavailableError
from nightshift.stack.environment import METRICS_TOKEN_FILE, metrics_token_file
from nightshift.stack.monitoring import SHIPPED, config_file, firing, local_config, write_config
from nightshift.stack.ports import Ports
from nightshift.stack.processes import processes
from nightshift.stack.settings import PROJECT, StackSettings

TEXT = (PROJECT / SHIPPED / "prometheus.yml").read_text()


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    return StackSettings(tmp_path / "stack", prometheus=Path("/usr/bin/prometheus"))


def test_jobs_and_rules_are_the_shipped_ones(settings: StackSettings) -> None:
    shipped, local = yaml.safe_load(TEXT), local_config(TEXT, settings, Path("/token"))
    assert [j["job_name"] for j in local["scrape_configs"]] == [
        j["job_name"] for j in shipped["scrape_configs"]
    ]
    assert local["global"] == shipped["global"]
    assert local["rule_files"] == [str(PROJECT / SHIPPED / "rules.yml")]
    assert "alerting" not in local


def test_targets_are_this_stacks_ports(settings: StackSettings) -> None:
    moved = replace(settings, ports=Ports(agent=20001, envoy_admin=20002, airflow=20003))
    jobs = local_config(TEXT, moved, Path("/token"))["scrape_configs"]
    targets = {j["job_name"]: [t for g in j["static_configs"] for t in g["targets"]] for j in jobs}
    assert targets == {
        "nightshift-agent": ["127.0.0.1:20001"],
        "airflow": ["127.0.0.1:20003"],
        "envoy": ["127.0.0.1:20002"],
        "model-server": ["127.0.0.1:8511", "127.0.0.1:8521"],
        "prometheus": ["127.0.0.1:9490"],
    }


def test_a_target_that_is_not_here_is_named(settings: StackSettings) -> None:
    text = TEXT.replace("envoy:9901", "elsewhere:9901")
    with pytest.raises(UnavailableError, match="elsewhere:9901, which the local stack does not"):
        local_config(text, settings, Path("/token"))


def test_the_token_is_for_its_owner_alone_and_not_in_the_configuration(
    settings: StackSettings,
) -> None:
    settings.make_folders()
    write_config(settings)
    text = config_file(settings).read_text()
    token = settings.passwords.metrics_token
    assert token not in text
    jobs = [job for job in yaml.safe_load(text)["scrape_configs"] if "authorization" in job]
    assert [job["job_name"] for job in jobs] == ["nightshift-agent", "airflow"]
    (shown,) = {Path(job["authorization"]["credentials_file"]) for job in jobs}
    assert shown.read_text() == token
    assert shown.stat().st_mode & 0o077 == 0
    assert token != settings.passwords.agent_token


def test_airflow_reads_the_token_where_prometheus_does_and_no_other_part_is_told(
    settings: StackSettings,
) -> None:
    told = {p.name: p.environment.get(METRICS_TOKEN_FILE) for p in processes(settings)}
    assert {name for name, file in told.items() if file} == {"airflow-api-server"}
    assert told["airflow-api-server"] == str(metrics_token_file(settings))


def test_where_prometheus_is_not_installed_nothing_changes(settings: StackSettings) -> None:
    without = {p.name for p in processes(replace(settings, prometheus=None))}
    assert {p.name for p in processes(settings)} - without == {"prometheus"}


def test_it_listens_on_this_machine_only(settings: StackSettings) -> None:
    (process,) = [p for p in processes(settings) if p.name == "prometheus"]
    assert "--web.listen-address=127.0.0.1:9490" in process.command


def test_a_prometheus_that_is_away_is_one_line(settings: StackSettings) -> None:
    nowhere = replace(settings, ports=Ports(prometheus=1))
    (line,) = firing(nowhere)
    assert line.startswith("No word on alerts from Prometheus at http://127.0.0.1:1/")
