"""Each part of the stack has its own keys of the object store, and nobody else's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightshift.stack.environment import (
    S3_ROLES,
    agent_environment,
    airflow_environment,
    mlflow_environment,
    s3_environment,
    s3_identities,
    s3_keys,
)
from nightshift.stack.processes import processes
from nightshift.stack.settings import StackSettings
from nightshift.storage.roles import Role


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    return StackSettings(tmp_path, cores=2)


def roles_in(settings: StackSettings, environment: dict[str, str]) -> set[Role]:
    """The roles whose secrets an environment holds, in any of its values."""
    text = json.dumps(environment)
    assert settings.passwords.s3_secret_key not in text, "the owner's"
    return {role for role in S3_ROLES if s3_keys(settings, role).secret in text}


def test_every_part_has_the_keys_of_its_role(settings: StackSettings) -> None:
    assert roles_in(settings, agent_environment(settings)) == {Role.AGENT}
    assert roles_in(settings, mlflow_environment(settings)) == {Role.MLFLOW}
    assert roles_in(settings, s3_environment(settings)) == {Role.COMMAND}
    assert roles_in(settings, airflow_environment(settings)) == {Role.AIRFLOW, Role.STEP}


def test_no_process_has_the_owners_keys(settings: StackSettings) -> None:
    for process in processes(settings):
        roles_in(settings, {**process.environment, "command": " ".join(process.command)})


def test_the_store_knows_them_all_and_nobody_who_deletes_records(settings: StackSettings) -> None:
    known = json.loads(s3_identities(settings))["identities"]
    assert {identity["name"] for identity in known} == {"owner", *S3_ROLES}
    assert Role.RETENTION not in S3_ROLES
