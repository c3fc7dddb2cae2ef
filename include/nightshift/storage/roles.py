"""Who may do what in S3: one identity for each part, with no more than its work needs.

Written as policies of AWS, which SeaweedFS reads too; ``*`` in a resource spans folders. Nobody
deletes but retention, with three exceptions that are no records: a training's own checkpoints, the
scratch folder of a reproduction, and the status of a host that was taken down.

What this cannot say: that a version's signature is written by registration alone (whoever
registers has no signing key in S3's eyes), or that an event is never overwritten: the log's writers
use conditional writes, and S3 takes an unconditional one from the same identity.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_READ = ("GetObject", "GetObjectVersion")
_WRITE = ("PutObject", "AbortMultipartUpload", "ListMultipartUploadParts")
_DELETE = ("DeleteObject", "DeleteObjectVersion")
_LIST = (
    *("ListBucket", "ListBucketVersions", "ListBucketMultipartUploads"),
    *("GetBucketLocation", "GetBucketVersioning"),
)


class Role(StrEnum):
    """An identity of its own."""

    STEP = "step"
    """Steps: read the lake and artifacts, write artifacts and what a training records."""
    AIRFLOW = "airflow"
    """Operators: runs, decisions, versions, and requests in the release log."""
    AGENT = "agent"
    """A serving host: reads released artifacts and the log, writes the log and its own status."""
    COMMAND = "command"
    """People at ./nightshift: fill the lake, ask for releases, reproduce."""
    MLFLOW = "mlflow"
    """The tracking server: its own bucket and no other."""
    RETENTION = "retention"
    """What removes what nobody needs any more."""


@dataclass(frozen=True)
class Buckets:
    """The buckets' names."""

    artifacts: str
    lake: str
    mlflow: str


def policy(role: Role, buckets: Buckets, host: str = "*") -> dict[str, Any]:
    """What a role may do, as a policy document.

    Args:
        role: Whose.
        buckets: Where.
        host: Of an agent: the host whose status it writes.
    """
    made, lake = buckets.artifacts, buckets.lake
    statements = {
        Role.STEP: [
            _allow(_READ, f"{lake}/*", f"{made}/*"),
            _allow(_WRITE, f"{made}/*/artifacts/*", f"{made}/*/runs/*"),
            _allow(_DELETE, f"{made}/*/artifacts/checkpoint/*"),
            _allow(_LIST, lake, made),
        ],
        Role.AIRFLOW: [
            _allow(_READ, f"{made}/*", f"{lake}/*"),
            _allow(_WRITE, *(f"{made}/*/{part}/*" for part in ("runs", "decisions", "versions"))),
            _allow(_WRITE, f"{made}/releases/*/events/*", f"{made}/*/recording.json"),
            _allow(_WRITE, f"{made}/*/replay.json", f"{made}/*/replays/*"),
            _allow(_LIST, made, lake),
        ],
        Role.AGENT: [
            _allow(_READ, f"{made}/*/artifacts/*", f"{made}/*/versions/*", f"{made}/releases/*"),
            _allow(_READ, f"{made}/serving/*", f"{made}/*/recording.json"),
            _allow(_READ, f"{made}/*/replay.json", f"{made}/*/replays/*"),
            _allow(_WRITE, f"{made}/releases/*", f"{made}/serving/hosts/{host}.json"),
            _allow(_WRITE, f"{lake}/*_requests/*"),
            _allow(_LIST, made),
        ],
        Role.COMMAND: [
            _allow((*_READ, *_WRITE), f"{lake}/*", f"{made}/*"),
            _allow(_DELETE, f"{made}/scratch-*", f"{made}/serving/hosts/*"),
            _allow(_LIST, lake, made),
        ],
        Role.MLFLOW: [
            _allow((*_READ, *_WRITE, *_DELETE), f"{buckets.mlflow}/*"),
            _allow(_LIST, buckets.mlflow),
        ],
        Role.RETENTION: [
            _allow((*_READ, *_DELETE), f"{lake}/*", f"{made}/*"),
            _allow(_LIST, lake, made),
        ],
    }[role]
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(actions: Sequence[str], *resources: str) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": [f"s3:{action}" for action in actions],
        "Resource": [f"arn:aws:s3:::{resource}" for resource in resources],
    }


@dataclass(frozen=True)
class Keys:
    """What an identity shows."""

    access: str
    secret: str


def identities_file(
    owner: Keys, roles: Mapping[Role, Sequence[Keys]], buckets: Buckets, host: str = "*"
) -> str:
    """SeaweedFS's ``-s3.config``: the owner, who makes buckets, and every role. Holds secrets.

    Args:
        owner: May do everything.
        roles: Each role's keys; two while they are being changed.
        buckets: Where.
        host: The host whose status the agent writes.
    """
    identities: list[dict[str, Any]] = [
        {"name": "owner", "credentials": [_credential(owner)], "actions": ["Admin"]}
    ]
    policies = []
    for role, keys in roles.items():
        shown = [_credential(key) for key in keys]
        identities.append({"name": role, "credentials": shown, "policyNames": [role]})
        content = json.dumps(policy(role, buckets, host))
        policies.append({"name": role, "content": content})
    return json.dumps({"identities": identities, "policies": policies}, indent=1)


def _credential(keys: Keys) -> dict[str, str]:
    return {"accessKey": keys.access, "secretKey": keys.secret}
