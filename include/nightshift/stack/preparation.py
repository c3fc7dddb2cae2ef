"""What must be in place before some processes start: buckets, Airflow's database, its pools."""

from __future__ import annotations

import json
import os
import secrets
import subprocess

from nightshift.errors import UnavailableError
from nightshift.release.address import Address
from nightshift.release.envoy import EnvoyLayout, write_files
from nightshift.stack.airflow_api import AirflowApi
from nightshift.stack.buckets import make_buckets
from nightshift.stack.doors import access, make_doors
from nightshift.stack.environment import (
    airflow_database,
    airflow_environment,
    airflow_login_file,
    base_environment,
    pools,
    s3_environment,
    s3_identities,
    s3_identities_file,
)
from nightshift.stack.monitoring import write_config
from nightshift.stack.passwords import write_private
from nightshift.stack.processes import Preparation
from nightshift.stack.runtime_build import STAMP
from nightshift.stack.settings import StackSettings
from nightshift.stack.supervision import log_of


def prepare(what: Preparation, settings: StackSettings) -> None:
    """Do one preparation; doing it again changes nothing.

    Raises:
        NightshiftError: It could not be done; the message says why.
    """
    {
        Preparation.BUCKETS: lambda settings: make_buckets(s3_environment(settings, None)),
        Preparation.AIRFLOW_DATABASE: migrate_airflow,
        Preparation.AIRFLOW_POOLS: make_pools,
    }[what](settings)


def make_folders(settings: StackSettings) -> None:
    """The folders that processes expect to find."""
    settings.make_folders()
    for name in ("airflow", "mlflow", "s3", "agent", "envoy", "serving/blue", "serving/green"):
        (settings.data / name).mkdir(parents=True, exist_ok=True)
    _write_logins(settings)
    write_private(s3_identities_file(settings), s3_identities(settings))
    make_doors(settings)
    for colour in ("blue", "green"):
        config = settings.data / "serving" / colour / "models.config"
        if not config.exists():
            config.write_text("model_config_list {}\n", encoding="utf-8")
    write_files(envoy_layout(settings), settings.data / "envoy")
    write_config(settings)


def _write_logins(settings: StackSettings) -> None:
    """What Airflow's users log in with; a person's password is made once and kept in this file."""
    file = airflow_login_file(settings)
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    people = {name: known.get(name) or secrets.token_urlsafe(12) for name in settings.people}
    logins = {"admin": settings.passwords.airflow_admin, **people}
    write_private(file, json.dumps(logins) + "\n")


def envoy_layout(settings: StackSettings) -> EnvoyLayout:
    """Where Envoy listens."""
    ports = settings.ports

    def local(port: int) -> Address:
        return Address("127.0.0.1", port)

    return EnvoyLayout(
        rest=local(ports.serving_rest),
        grpc=local(ports.serving_grpc),
        admin=local(ports.envoy_admin),
        folder=settings.data / "envoy",
        access=access(settings),
    )


def migrate_airflow(settings: StackSettings) -> None:
    """Bring Airflow's database to the schema of the installed version, if it is not there."""
    stamp = airflow_database(settings).with_name(".migrated")
    wanted = (settings.runtimes / "airflow" / STAMP).read_text(encoding="ascii")
    there = airflow_database(settings).exists()
    if there and stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return
    environment = {
        "HOME": os.environ.get("HOME", "/"),
        **base_environment(settings, "airflow"),
        **airflow_environment(settings),
    }
    log = log_of(settings, "airflow-database")
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [settings.runtimes / "airflow/bin/python", "-m", "airflow", "db", "migrate"],
            env=environment,
            cwd=settings.working_directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise UnavailableError(f"Airflow's database could not be prepared; see {log}.")
    stamp.write_text(wanted, encoding="ascii")


def make_pools(settings: StackSettings) -> None:
    """Airflow's pools with their slots."""
    with AirflowApi(settings) as airflow:
        for name, slots in pools(settings).items():
            airflow.ensure_pool(name, slots, "Steps that take a core and a gigabyte each.")
