"""Every process of the stack, declared once: this list is what the supervisor runs.

The Compose file describes the same parts for production; a test keeps the two in step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nightshift.release.envoy import BOOTSTRAP_FILE
from nightshift.stack.environment import (
    BUCKETS,
    METRICS_TOKEN_FILE,
    agent_environment,
    airflow_environment,
    metrics_token_file,
    mlflow_environment,
    model_key_environment,
    s3_identities_file,
)
from nightshift.stack.monitoring import config_file
from nightshift.stack.settings import StackSettings


class Preparation(StrEnum):
    """Work that some processes wait for and that no process does."""

    BUCKETS = "buckets"
    AIRFLOW_DATABASE = "airflow-database"
    AIRFLOW_POOLS = "airflow-pools"


@dataclass(frozen=True)
class Process:
    """One process that the supervisor keeps running.

    Attributes:
        name: Its name for people: in ``status``, ``logs`` and as its log's file name.
        runtime: The runtime it runs in.
        command: Program and arguments; the program is taken from the runtime's ``bin``, unless
            it is a whole path.
        health: URL that answers 2xx once it works.
        airflow_part: Its key in Airflow's health answer, where that answer speaks for it.
        after: Processes and preparations that must be done before it starts.
        environment: Added to what every process has.
        stop_seconds: How long it may take to end before it is killed.
        ends_last: Others finish their work with it: it is stopped once they have ended.
    """

    name: str
    runtime: str
    command: tuple[str, ...]
    health: str
    airflow_part: str | None = None
    after: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    stop_seconds: int = 15
    ends_last: bool = False


def processes(settings: StackSettings) -> tuple[Process, ...]:
    """All processes of one stack, in the order in which people read them."""
    return (
        _seaweedfs(settings),
        _mlflow(settings),
        *_airflow(settings),
        _model_server(settings, "blue", settings.ports.blue_grpc, settings.ports.blue_rest),
        _model_server(settings, "green", settings.ports.green_grpc, settings.ports.green_rest),
        _envoy(settings),
        _agent(settings),
        *_prometheus(settings),
    )


def _seaweedfs(settings: StackSettings) -> Process:
    ports = settings.ports
    flags = {
        "dir": settings.data / "s3",
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "bucket": ",".join(BUCKETS),
        "s3.config": s3_identities_file(settings),
        "s3.port": ports.s3,
        "s3.port.grpc": ports.s3_grpc,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.port": ports.seaweed_master,
        "master.port.grpc": ports.seaweed_master_grpc,
        "master.telemetry": "false",
        "volume.port": ports.seaweed_volume,
        "volume.port.grpc": ports.seaweed_volume_grpc,
        "filer.port": ports.seaweed_filer,
        "filer.port.grpc": ports.seaweed_filer_grpc,
        "filer.localSocket": settings.sockets / "filer.sock",
        "s3.localSocket": settings.sockets / "s3.sock",
        "admin.port": ports.seaweed_admin,
        "admin.port.grpc": ports.seaweed_admin_grpc,
        "admin.ui": "false",
        "webdav": "false",
    }
    return Process(
        name="seaweedfs",
        runtime="tools",
        # By default its log would lie in the machine's temporary folder as well.
        command=("weed", "-logtostderr=true", "mini", *(f"-{n}={v}" for n, v in flags.items())),
        health=f"http://127.0.0.1:{ports.s3}/healthz",
        stop_seconds=30,
        ends_last=True,
    )


def _mlflow(settings: StackSettings) -> Process:
    port = settings.ports.mlflow
    return Process(
        name="mlflow",
        runtime="ml",
        command=(
            *("python", "-m", "mlflow", "server", "--workers", "1"),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", f"sqlite:///{settings.data / 'mlflow' / 'mlflow.db'}"),
            *("--artifacts-destination", f"s3://{BUCKETS[2]}"),
        ),
        health=f"http://127.0.0.1:{port}/health",
        environment=mlflow_environment(settings),
    )


def _airflow(settings: StackSettings) -> tuple[Process, ...]:
    health = f"http://127.0.0.1:{settings.ports.airflow}/api/v2/monitor/health"
    environment = airflow_environment(settings)
    # Who runs steps, and who shows people the files of artifacts.
    with_models = {**environment, **model_key_environment(settings)}
    api_server = {**with_models, METRICS_TOKEN_FILE: str(metrics_token_file(settings))}

    def part(
        name: str,
        *arguments: str,
        key: str,
        stop_seconds: int = 20,
        environment: Mapping[str, str] = environment,
    ) -> Process:
        return Process(
            name=f"airflow-{name}",
            runtime="airflow",
            command=("python", "-m", "airflow", name, *arguments),
            health=health,
            airflow_part=key,
            after=(Preparation.AIRFLOW_DATABASE,),
            environment=environment,
            stop_seconds=stop_seconds,
        )

    return (
        part("api-server", key="metadatabase", environment=api_server),
        # Task logs are on this disk: the log servers would only listen on every interface.
        part("scheduler", "--skip-serve-logs", key="scheduler", environment=with_models),
        part("dag-processor", key="dag_processor"),
        part("triggerer", "--skip-serve-logs", key="triggerer"),
    )


def _model_server(settings: StackSettings, colour: str, grpc: int, rest: int) -> Process:
    return Process(
        name=f"model-server-{colour}",
        runtime="ml",
        command=(
            *("python", "-m", "nightshift.serving.server", f"--port={grpc}"),
            f"--rest_api_port={rest}",
            f"--model_config_file={settings.data / 'serving' / colour / 'models.config'}",
            "--model_config_file_poll_wait_seconds=1",
            # A version that cannot be loaded is refused at once, not after minutes of trying.
            "--max_num_load_retries=0",
            # Of a pipeline that serves its INT8 variant, the folder has no SavedModel.
            "--prefer_tflite_model=true",
        ),
        health=f"http://127.0.0.1:{rest}/monitoring/prometheus/metrics",
    )


def _envoy(settings: StackSettings) -> Process:
    return Process(
        name="envoy",
        runtime="tools",
        command=(
            *("envoy", "--config-path", str(settings.data / "envoy" / BOOTSTRAP_FILE)),
            # Hot restart takes a socket that is one for the whole machine.
            *("--disable-hot-restart", "--log-level", "warning"),
        ),
        # Not /ready: a drained host's Envoy works, and says there that it does not.
        health=f"http://127.0.0.1:{settings.ports.envoy_admin}/server_info",
    )


def _agent(settings: StackSettings) -> Process:
    return Process(
        name="agent",
        runtime="tools",
        command=("python", "-m", "nightshift.release.agent"),
        health=f"http://127.0.0.1:{settings.ports.agent}/healthz",
        after=(Preparation.BUCKETS,),
        environment=agent_environment(settings),
    )


def _prometheus(settings: StackSettings) -> tuple[Process, ...]:
    if settings.prometheus is None:
        return ()
    address = f"127.0.0.1:{settings.ports.prometheus}"
    return (
        Process(
            name="prometheus",
            runtime="tools",
            command=(
                str(settings.prometheus),
                f"--config.file={config_file(settings)}",
                f"--storage.tsdb.path={settings.data / 'prometheus'}",
                "--storage.tsdb.retention.time=15d",
                "--storage.tsdb.retention.size=1GB",
                f"--web.listen-address={address}",
                "--log.level=warn",
            ),
            health=f"http://{address}/-/ready",
        ),
    )
