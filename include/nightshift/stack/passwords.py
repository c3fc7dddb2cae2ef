"""Passwords and keys of the local stack: generated once, kept where only their owner can read."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from nightshift.errors import BadDefinitionError


def _password() -> str:
    return secrets.token_urlsafe(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")


@dataclass(frozen=True)
class Passwords:
    """Every secret of one stack. Never printed by ``repr``."""

    airflow_admin: str = field(default_factory=_password, repr=False)
    """Password of the user ``admin`` in Airflow's UI and API."""
    airflow_fernet_key: str = field(default_factory=_fernet_key, repr=False)
    airflow_jwt_secret: str = field(default_factory=_password, repr=False)
    airflow_secret_key: str = field(default_factory=_password, repr=False)
    s3_access_key: str = field(default_factory=lambda: secrets.token_hex(10), repr=False)
    """The owner of the object store, by whom buckets are made; no part of the stack has it."""
    s3_secret_key: str = field(default_factory=_password, repr=False)
    s3_step_secret: str = field(default_factory=_password, repr=False)
    s3_airflow_secret: str = field(default_factory=_password, repr=False)
    s3_agent_secret: str = field(default_factory=_password, repr=False)
    s3_command_secret: str = field(default_factory=_password, repr=False)
    s3_mlflow_secret: str = field(default_factory=_password, repr=False)
    supervisor: str = field(default_factory=_password, repr=False)
    agent_token: str = field(default_factory=_password, repr=False)
    """What a local rollback at the serving agent must present."""
    metrics_token: str = field(default_factory=_password, repr=False)
    """What opens the metrics of agent and Airflow, and nothing else."""


def load_or_create(path: Path) -> Passwords:
    """Read the file, or make it; secrets that a newer version added are generated and kept.

    Raises:
        BadDefinitionError: The file is there but is not ours.
    """
    known = _read(path)
    names = {f.name for f in fields(Passwords)}
    passwords = Passwords(**{name: value for name, value in known.items() if name in names})
    if asdict(passwords) != known:
        write_private(path, json.dumps(asdict(passwords), indent=1) + "\n")
    return passwords


def _read(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BadDefinitionError(
            f"{path} is not valid JSON ({error}). It holds the stack's generated passwords: "
            "restore it, or remove it together with the data beside it."
        ) from None
    return {str(name): str(value) for name, value in dict(known).items()}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, replacing it in one step."""
    partial = path.with_name(f".{path.name}.part")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    partial.replace(path)
