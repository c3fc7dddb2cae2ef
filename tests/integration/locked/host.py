"""A serving host as the local stack has it: TLS, clients, signatures; all of it real."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.artifacts.store import ArtifactStore
from nightshift.release.access import ListenerAccess
from nightshift.release.candidate import Candidate
from nightshift.release.log import ReleaseLog
from nightshift.release.record import ReleaseRecord
from nightshift.release.requests import ReleaseState
from nightshift.runtimes import Runtime, python_of
from nightshift.signing.keys import SIGNING_KEY, ensure_key_pair
from nightshift.signing.versions import signature_key
from nightshift.stack.certificates import Authority
from nightshift.stack.passwords import write_private
from tests.integration.locked.doors import CLIENTS, KEYS, LARGEST
from tests.integration.release.rig import INPUTS, PIPELINE, Machine, Rig
from tests.integration.servers import S3, wait_until

LIVE = (1, [0.1, 0.2, 0.3])
"""What the version that tests release first answers."""


@dataclass
class LockedHost:
    """The host, what signs for it, and what it serves."""

    rig: Rig
    folder: Path
    authority: Authority

    @property
    def record(self) -> ReleaseRecord:
        """The record of flights."""
        return ReleaseLog(self.rig.bucket, PIPELINE).record()

    def sign(self, version: int, key: Path | None = None) -> None:
        """Sign a registered version as the register task does, in the runtime that it takes."""
        environment = {
            **self.rig.s3.environment,
            SIGNING_KEY: str(key or self.folder / "signing.key"),
        }
        command = [str(python_of(Runtime.TOOLS)), "-m", "nightshift.signing.sign"]
        run([*command, PIPELINE, str(version)], environment)

    def register(self, version: int, *, sign: bool = True, **options: Any) -> Candidate:
        """Publish a version, and note it as registered."""
        candidate = self.rig.publish(version, **options)
        self.note(candidate)
        if sign:
            self.sign(version)
        return candidate

    def note(self, candidate: Candidate) -> None:
        """As the registry does."""
        key = f"{PIPELINE}/versions/{candidate.version}.json"
        self.rig.bucket.put(key, candidate.model_dump_json().encode())

    def signature(self, version: int) -> bytes:
        """The signature of a version."""
        return self.rig.bucket.get(signature_key(PIPELINE, version)).body

    def put_signature(self, version: int, signature: bytes) -> None:
        """Lay a signature beside a version, as whoever may write there could."""
        self.rig.bucket.put(signature_key(PIPELINE, version), signature)

    def release_registered(self, candidate: Candidate) -> ReleaseState:
        """Ask for its release and wait for the end."""
        return self.rig.await_end(self.rig.ask(candidate), seconds=90)

    def file_of(self, ref: ArtifactRef, name: str) -> str:
        """The object key of one of an artifact's files."""
        store = ArtifactStore(self.rig.bucket)
        return store.file_key(store.open(ref), name)

    def client(self, key: str | None = KEYS["shop"]) -> httpx.Client:
        """A client that trusts the authority."""
        return httpx.Client(
            base_url=f"https://{self.rig.machine.layout.rest}",
            headers={"x-api-key": key} if key else {},
            verify=ssl.create_default_context(cafile=str(self.authority.certificate)),
            timeout=15,
        )

    def served(self) -> tuple[int, list[float]]:
        """The version that answers, and what it answers."""
        with self.client() as client:
            answer = client.post(f"/v1/models/{PIPELINE}:predict", json={"inputs": {"x": INPUTS}})
        assert answer.status_code == 200, answer.text
        values = answer.json()["outputs"]
        values = values["probability"] if isinstance(values, dict) else values
        return int(answer.headers["x-nightshift-version"]), [round(v, 4) for v in values]

    def admit(self, clients: list[dict[str, Any]]) -> None:
        """Change the clients file, as its owner does."""
        write_private(self.folder / "clients.yaml", yaml.safe_dump({"clients": clients}))


@contextmanager
def locked_host(
    folder: Path, s3: S3, saved_models: Path, server: str = "nightshift.serving.server"
) -> Iterator[LockedHost]:
    """Everything started; nothing released."""
    authority = Authority(folder / "ca")
    authority.ensure_server(folder / "tls")
    ensure_key_pair(folder / "signing.key", folder / "trusted")
    access = ListenerAccess(folder / "tls", client_ca=True, clients=True, max_request_bytes=LARGEST)
    machine = Machine(folder / "machine", server, access)
    flags = (f"--clients-file={folder / 'clients.yaml'}", f"--trusted-keys={folder / 'trusted'}")
    rig = Rig(machine, folder / "agent", s3, saved_models, flags=flags)
    host = LockedHost(rig, folder, authority)
    host.admit(CLIENTS)
    try:
        machine.start()
        with rig.agent:
            yield host
    finally:
        machine.stop()


def run(command: list[str], environment: Mapping[str, str]) -> str:
    """Run a command to its end."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(host: LockedHost, candidate: Candidate, says: str) -> None:
    """The release ends, the record and the agent's log say why, what is served does not change."""
    state = host.release_registered(candidate)
    assert not state.succeeded and says in state.message, state.message
    assert says in host.record.rejected[candidate.version]
    assert host.record.champion is not None and host.record.champion.version == 1
    wait_for_line(host, f"version {candidate.version} failed: ")
    assert says in host.rig.agent.output
    folder = host.rig.machine.models
    assert not [path for path in folder.glob("*/flights/*") if path.name == str(candidate.version)]
    assert host.served() == LIVE


def wait_for_line(host: LockedHost, text: str) -> None:
    """Wait until the agent's log says something."""
    wait_until(lambda: text in host.rig.agent.output, seconds=10, what=f"the agent says {text!r}")
