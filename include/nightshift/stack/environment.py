"""The environment of each part of the stack: one place for names that Compose must match."""

from __future__ import annotations

import json
import os
from pathlib import Path

from nightshift.encryption.keys import MODEL_KEY, OLD_MODEL_KEYS
from nightshift.signing.keys import SIGNING_KEY
from nightshift.stack.doors import (
    clients_file,
    model_key_file,
    old_model_keys,
    signing_key_file,
    trusted_keys,
)
from nightshift.stack.settings import HEAVY_POOL, HOME, MARKER, StackSettings
from nightshift.storage.roles import Buckets, Keys, Role, identities_file

S3_CONNECTION = "AIRFLOW_CONN_NIGHTSHIFT_S3"
S3_STEPS_CONNECTION = "AIRFLOW_CONN_NIGHTSHIFT_S3_STEPS"
MLFLOW_CONNECTION = "AIRFLOW_CONN_NIGHTSHIFT_MLFLOW"
ARTIFACT_BUCKET = "nightshift"
LAKE_BUCKET = "lake"
MLFLOW_BUCKET = "mlflow"
BUCKETS = (ARTIFACT_BUCKET, LAKE_BUCKET, MLFLOW_BUCKET)
S3_ROLES = (Role.STEP, Role.AIRFLOW, Role.AGENT, Role.COMMAND, Role.MLFLOW)
"""Who is here; nothing of the stack deletes records, so nobody has the keys to."""
HOST = "local"
"""Name of the stack's one serving host."""
REGION = "us-east-1"
PIPELINES = "NIGHTSHIFT_PIPELINES"
METRICS_TOKEN_FILE = "NIGHTSHIFT_METRICS_TOKEN_FILE"
STUDIES = "NIGHTSHIFT_STUDIES"
"""Database of the searches' studies; without it they are journals in S3."""


OPENLINEAGE_URL = "OPENLINEAGE_URL"
"""In the shell that starts the stack: a server that OpenLineage's events go to."""


def pools(settings: StackSettings) -> dict[str, int]:
    """Airflow's pools and their slots."""
    return {HEAVY_POOL: settings.heavy_slots}


def base_environment(settings: StackSettings, runtime: str) -> dict[str, str]:
    """What every process of the stack has: its runtime's programs, our package, the marker."""
    programs = settings.runtimes / runtime / "bin"
    # Pipelines kept elsewhere: what this shell says, the stack's processes must know too.
    elsewhere = {name: os.environ[name] for name in (PIPELINES,) if name in os.environ}
    return {
        **elsewhere,
        MARKER: str(settings.home),
        HOME: str(settings.home),
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(settings.project / "include"),
        "PYTHONUNBUFFERED": "1",
        "NIGHTSHIFT_RUNTIMES": str(settings.runtimes),
    }


def s3_keys(settings: StackSettings, role: Role | None) -> Keys:
    """What a role shows S3; None for the owner, who makes buckets."""
    if role is None:
        return Keys(settings.passwords.s3_access_key, settings.passwords.s3_secret_key)
    return Keys(f"nightshift-{role}", getattr(settings.passwords, f"s3_{role}_secret"))


def s3_identities(settings: StackSettings) -> str:
    """Everybody whom the object store knows."""
    roles = {role: [s3_keys(settings, role)] for role in S3_ROLES}
    return identities_file(s3_keys(settings, None), roles, Buckets(*BUCKETS), host=HOST)


def s3_identities_file(settings: StackSettings) -> Path:
    """What SeaweedFS reads them from."""
    return settings.run / "s3-identities.json"


def s3_environment(settings: StackSettings, role: Role | None = Role.COMMAND) -> dict[str, str]:
    """Where S3 is and who we are there, by the names that boto3 reads.

    Args:
        settings: The stack.
        role: Who we are; None for the owner, who makes buckets.
    """
    shown = s3_keys(settings, role)
    return {
        "AWS_ACCESS_KEY_ID": shown.access,
        "AWS_SECRET_ACCESS_KEY": shown.secret,
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{settings.ports.s3}",
        "AWS_DEFAULT_REGION": REGION,
        "NIGHTSHIFT_BUCKET": ARTIFACT_BUCKET,
        "NIGHTSHIFT_LAKE_BUCKET": LAKE_BUCKET,
    }


def model_key_environment(settings: StackSettings) -> dict[str, str]:
    """The keys of encrypted models, for whoever reads or writes models; nothing without any."""
    current, old = model_key_file(settings), old_model_keys(settings)
    # Where it is asked for, it is made before anything starts.
    there = settings.encrypt_models or current.exists()
    return {
        **({MODEL_KEY: str(current)} if there else {}),
        **({OLD_MODEL_KEYS: ",".join(old)} if old else {}),
    }


def step_environment(settings: StackSettings, runtime: str) -> dict[str, str]:
    """For a process of ours that works on the stack's data from outside Airflow."""
    return {
        **base_environment(settings, runtime),
        **s3_environment(settings),
        "TF_USE_LEGACY_KERAS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "-1",
    }


def mlflow_environment(settings: StackSettings) -> dict[str, str]:
    """The tracking server: it alone writes to the bucket of MLflow's artifacts."""
    return {
        **s3_environment(settings, Role.MLFLOW),
        # By default it starts several job workers of 240 MB each, for features we do not use.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


def agent_environment(settings: StackSettings) -> dict[str, str]:
    """The serving agent: its host's folders and servers, by the names of its flags."""
    ports = settings.ports
    return {
        **s3_environment(settings, Role.AGENT),
        **model_key_environment(settings),
        "NIGHTSHIFT_AGENT_HOST": HOST,
        "NIGHTSHIFT_AGENT_MODELS_DIR": str(settings.data / "serving"),
        "NIGHTSHIFT_AGENT_STATE_DIR": str(settings.data / "agent"),
        "NIGHTSHIFT_AGENT_ENVOY_DIR": str(settings.data / "envoy"),
        "NIGHTSHIFT_AGENT_ENVOY_ADMIN": f"127.0.0.1:{ports.envoy_admin}",
        "NIGHTSHIFT_AGENT_BLUE_REST": f"127.0.0.1:{ports.blue_rest}",
        "NIGHTSHIFT_AGENT_BLUE_GRPC": f"127.0.0.1:{ports.blue_grpc}",
        "NIGHTSHIFT_AGENT_GREEN_REST": f"127.0.0.1:{ports.green_rest}",
        "NIGHTSHIFT_AGENT_GREEN_GRPC": f"127.0.0.1:{ports.green_grpc}",
        "NIGHTSHIFT_AGENT_PORT": str(ports.agent),
        "NIGHTSHIFT_AGENT_CLIENTS_FILE": str(clients_file(settings)),
        "NIGHTSHIFT_AGENT_TRUSTED_KEYS": str(trusted_keys(settings)),
        "NIGHTSHIFT_AGENT_TOKEN": settings.passwords.agent_token,
        "NIGHTSHIFT_AGENT_METRICS_TOKEN": settings.passwords.metrics_token,
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{ports.mlflow}",
    }


def s3_connection(settings: StackSettings, role: Role) -> str:
    """Airflow's ``aws`` connection to the object store, as JSON."""
    shown = s3_keys(settings, role)
    return json.dumps(
        {
            "conn_type": "aws",
            "login": shown.access,
            "password": shown.secret,
            "extra": {
                "endpoint_url": f"http://127.0.0.1:{settings.ports.s3}",
                "region_name": REGION,
            },
        }
    )


def mlflow_connection(settings: StackSettings) -> str:
    """Airflow's ``http`` connection to MLflow, as JSON."""
    return json.dumps(
        {
            "conn_type": "http",
            "schema": "http",
            "host": "127.0.0.1",
            "port": settings.ports.mlflow,
        }
    )


def airflow_environment(settings: StackSettings) -> dict[str, str]:
    """Everything that Airflow's parts are told; they read no configuration file of ours."""
    home = settings.data / "airflow"
    address = f"http://127.0.0.1:{settings.ports.airflow}"
    return {
        **s3_environment(settings, Role.AIRFLOW),
        S3_CONNECTION: s3_connection(settings, Role.AIRFLOW),
        S3_STEPS_CONNECTION: s3_connection(settings, Role.STEP),
        MLFLOW_CONNECTION: mlflow_connection(settings),
        SIGNING_KEY: str(signing_key_file(settings)),
        # Beside MLflow's own: one machine, one file. Where workers have several, S3 has them.
        STUDIES: f"sqlite:///{settings.data / 'mlflow' / 'optuna.db'}",
        "AIRFLOW_HOME": str(home),
        **_airflow_core(settings, address),
        **_airflow_pace(),
        **_airflow_folders(settings, home),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(settings.ports.airflow),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": settings.passwords.airflow_secret_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": settings.passwords.airflow_jwt_secret,
        **_openlineage(settings),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def _openlineage(settings: StackSettings) -> dict[str, str]:
    """Events go to a file of ours, or to the server that ``OPENLINEAGE_URL`` names."""
    server = os.environ.get(OPENLINEAGE_URL, "")
    return {
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "nightshift",
        # By default it forks the task's process twice a task, and imports itself in each fork.
        "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": "True",
        "OPENLINEAGE__TRANSPORT__TYPE": "http" if server else "file",
        "OPENLINEAGE__TRANSPORT__URL": server,
        "OPENLINEAGE__TRANSPORT__APPEND": "true",
        "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH": str(openlineage_events(settings)),
    }


def openlineage_events(settings: StackSettings) -> Path:
    """OpenLineage's events, one line of JSON each."""
    return settings.data / "openlineage.jsonl"


def _airflow_core(settings: StackSettings, address: str) -> dict[str, str]:
    return {
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # Its default of 32 starts as many worker processes.
        "AIRFLOW__CORE__PARALLELISM": str(settings.parallelism),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": settings.passwords.airflow_fernet_key,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            ["admin:admin", *(f"{name}:user" for name in settings.people)]
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(airflow_login_file(settings)),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow_database(settings)}",
    }


def _airflow_pace() -> dict[str, str]:
    """How soon Airflow notices things: a dead process in a minute, a new DAG in seconds."""
    return {
        # By default the tasks that a dead scheduler had queued wait for five minutes.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    }


def _airflow_folders(settings: StackSettings, home: Path) -> dict[str, str]:
    return {
        "AIRFLOW__CORE__DAGS_FOLDER": str(settings.project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.project / "plugins"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(settings.logs / "tasks"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(
            settings.logs / "dag-files"
        ),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
    }


def airflow_database(settings: StackSettings) -> Path:
    """The file of Airflow's SQLite database."""
    return settings.data / "airflow" / "airflow.db"


def metrics_token_file(settings: StackSettings) -> Path:
    """What Prometheus shows the agent and Airflow."""
    return settings.run / "metrics-token"


def airflow_login_file(settings: StackSettings) -> Path:
    """Where the simple auth manager reads its users' passwords."""
    return settings.run / "airflow-login.json"
