"""Encrypted in the object store, plain on the host's disk alone, where only its user reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nightshift.encryption.keys import MODEL_KEY, ensure_key_file
from nightshift.release import requests
from nightshift.release.placement import SAVED_MODEL_FOLDER
from tests.integration.locked.host import LIVE, LockedHost, locked_host, refused
from tests.integration.release.rig import PIPELINE
from tests.integration.servers import S3, wait_until

GRAPH = f"{SAVED_MODEL_FOLDER}saved_model.pb"


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, s3_of_module: S3, saved_models: Path
) -> Iterator[LockedHost]:
    """Version 1 of flights is live; who commits, signs and serves has the key."""
    file = tmp_path_factory.mktemp("keys") / "model.key"
    ensure_key_file(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODEL_KEY, str(file))
        with locked_host(tmp_path_factory.mktemp("host"), s3_of_module, saved_models) as host:
            assert host.release_registered(host.register(1)).succeeded
            yield host


def test_a_signed_version_is_served_and_its_bytes_in_the_store_are_no_model(
    host: LockedHost, saved_models: Path
) -> None:
    assert host.served() == LIVE
    live = host.record.champion
    assert live is not None
    plain = (saved_models / "1" / "saved_model.pb").read_bytes()
    stored = [host.rig.bucket.get(found.key).body for found in host.rig.bucket.list("")]
    assert host.rig.bucket.get(host.file_of(live.model, GRAPH)).body in stored
    pieces = [plain[at : at + 32] for at in range(0, len(plain) - 32, 32)]
    assert not [
        piece for body in stored for piece in pieces if len(set(piece)) > 8 and piece in body
    ]


def test_on_the_hosts_disk_it_is_plain_and_its_users_alone(
    host: LockedHost, saved_models: Path
) -> None:
    models = host.rig.machine.models
    (there,) = models.glob("*/flights/1/saved_model.pb")
    assert there.read_bytes() == (saved_models / "1" / "saved_model.pb").read_bytes()
    assert models.stat().st_mode & 0o777 == 0o700
    files = [path for path in models.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_another_versions_encrypted_file(host: LockedHost) -> None:
    """Encrypted with the right key, and as another artifact's."""
    candidate = host.register(2)
    live = host.record.champion
    assert live is not None
    swapped = host.rig.bucket.get(host.file_of(live.model, GRAPH)).body
    host.rig.bucket.put(host.file_of(candidate.model, GRAPH), swapped)
    refused(host, candidate, "it was encrypted as another file (artifact ")


def test_a_byte_changed_in_the_store(host: LockedHost) -> None:
    candidate = host.register(3)
    key = host.file_of(candidate.model, GRAPH)
    body = bytearray(host.rig.bucket.get(key).body)
    body[-20] ^= 1
    host.rig.bucket.put(key, bytes(body))
    refused(host, candidate, "it cannot be decrypted")


def test_a_host_without_the_key_waits_and_names_the_setting(
    host: LockedHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is not to blame, so nothing is held against it. What is live goes on."""
    ensure_key_file(tmp_path / "another.key")
    monkeypatch.setenv(MODEL_KEY, str(tmp_path / "another.key"))
    candidate = host.register(4)
    host.rig.ask(candidate)

    def told() -> bool:
        (status,) = requests.hosts(host.rig.bucket)
        held = status.pipelines[PIPELINE]
        return any(MODEL_KEY in slot.message for slot in (held.blue, held.green))

    wait_until(told, seconds=30, what="the host's status names the setting")
    requests.abort(host.rig.bucket, PIPELINE, by="test", reason="the host has no key")
    assert host.served() == LIVE
