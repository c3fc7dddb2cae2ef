"""A serving host for tests, all of it real: two model servers, Envoy, and an agent beside them."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from nightshift.artifacts.keys import digest
from nightshift.artifacts.manifest import ArtifactRef, Manifest
from nightshift.artifacts.store import ArtifactStore, new_attempt
from nightshift.release import requests
from nightshift.release.access import ListenerAccess
from nightshift.release.address import Address, Upstream
from nightshift.release.candidate import Candidate
from nightshift.release.envoy import EnvoyLayout, write_files
from nightshift.release.layout import HostLayout
from nightshift.release.model_config import render_config
from nightshift.release.record import Colour
from nightshift.release.requests import ReleaseState
from nightshift.runtimes import Runtime, python_of
from nightshift.storage.s3 import Bucket
from tests.integration.judged import with_passed_gate
from tests.integration.ports import free_port
from tests.integration.servers import S3, ServerProcess, answers, tool, wait_until

HOST = "127.0.0.1"
PIPELINE = "flights"
TOKEN = "a-token-for-tests"
INPUTS = [1.0, 2.0, 3.0]


class Machine:
    """The long-lived part of a host: model servers and Envoy. Slow to start, so tests share it.

    Args:
        folder: For configuration, models and logs.
        server: The model server's module.
        access: TLS and keys of its doors; none by default.
        address: What all of it listens on.
        inside: A command that starts another one inside a machine of its own.
    """

    def __init__(
        self,
        folder: Path,
        server: str = "nightshift.serving.server",
        access: ListenerAccess | None = None,
        *,
        address: str = HOST,
        inside: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.server_module = server
        self.address = address
        self.inside = tuple(inside)
        self.layout = EnvoyLayout(
            rest=Address(address, free_port()),
            grpc=Address(address, free_port()),
            admin=Address(address, free_port()),
            folder=folder / "envoy",
            access=access or ListenerAccess(),
        )
        self.upstreams = {
            c: Upstream(Address(address, free_port()), Address(address, free_port()))
            for c in Colour
        }
        self.models = folder / "models"
        self.servers = {colour: self._server(colour) for colour in Colour}
        bootstrap = write_files(self.layout, self.layout.folder)
        envoy: list[str | Path] = [*self.inside, tool("envoy"), "-c", bootstrap]
        options = ["--use-dynamic-base-id", "--concurrency", "2", "--log-level", "warning"]
        self.envoy = ServerProcess([*envoy, *options], folder / "envoy.log")

    def _server(self, colour: Colour) -> ServerProcess:
        folders = HostLayout(self.models, self.models, self.folder, self.folder)
        config = folders.config_file(colour)
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(render_config({}))
        upstream = self.upstreams[colour]
        return ServerProcess(
            [
                *self.inside,
                python_of(Runtime.ML),
                "-m",
                self.server_module,
                f"--host={self.address}",
                f"--port={upstream.grpc.port}",
                f"--rest_api_port={upstream.rest.port}",
                f"--model_config_file={config}",
                "--model_config_file_poll_wait_seconds=1",
                "--file_system_poll_wait_seconds=1",
                "--max_num_load_retries=0",
                "--prefer_tflite_model=true",
            ],
            self.folder / f"{colour}.log",
        )

    def start(self) -> None:
        """Start everything and wait until it answers."""
        for process in (*self.servers.values(), self.envoy):
            process.start()
        self.envoy.wait_for(
            lambda: answers(f"http://{self.layout.admin}/ready"), seconds=30, what="Envoy is ready"
        )
        for colour, server in self.servers.items():
            address = self.upstreams[colour].rest
            server.wait_for(partial(_listens, address), seconds=120, what=f"{colour} listens")

    def stop(self) -> None:
        """End everything."""
        for process in (self.envoy, *self.servers.values()):
            process.kill()


class Rig:
    """One host with an agent of the test's own.

    Args:
        machine: Model servers and Envoy.
        folder: The agent's state.
        s3: The object store.
        saved_models: Folder with one SavedModel per version.
        name: Name of the host.
        flags: More of the agent's flags.
    """

    def __init__(
        self,
        machine: Machine,
        folder: Path,
        s3: S3,
        saved_models: Path,
        name: str = "one",
        *,
        flags: Sequence[str] = (),
    ) -> None:
        self.machine = machine
        self.name = name
        self.s3 = s3
        self.folder = folder
        self.saved_models = saved_models
        self.agent_port = free_port()
        token = folder / "token"
        folder.mkdir(parents=True, exist_ok=True)
        token.write_text(TOKEN)
        layout = machine.layout
        self.agent = ServerProcess(
            [
                *machine.inside,
                python_of(Runtime.TOOLS),
                "-m",
                "nightshift.release.agent",
                f"--host={name}",
                f"--models-dir={machine.models}",
                f"--state-dir={folder / 'state'}",
                f"--envoy-dir={layout.folder}",
                f"--envoy-admin={layout.admin}",
                *(f"--{c}-rest={machine.upstreams[c].rest}" for c in Colour),
                *(f"--{c}-grpc={machine.upstreams[c].grpc}" for c in Colour),
                f"--port={self.agent_port}",
                f"--token-file={token}",
                "--poll-seconds=0.2",
                "--lease-ttl-seconds=2",
                "--silent-after-seconds=4",
                *flags,
            ],
            folder / "agent.log",
            s3.environment,
        )

    @property
    def bucket(self) -> Bucket:
        """The bucket of artifacts and log."""
        return self.s3.artifacts

    def publish(
        self,
        version: int,
        *,
        golden_offset: float = 0.0,
        night: date | None = None,
        pipeline: str = PIPELINE,
        answers: list[float] | None = None,
    ) -> Candidate:
        """Commit a model artifact and give back its candidate.

        Args:
            version: Version ``v`` answers ``x * v / 10``.
            golden_offset: Added to the recorded golden answers, to make them wrong.
            night: Its night; a higher version has a later one by default.
            pipeline: Whose model.
            answers: The golden answers, where the version does not answer as above.
        """
        answers = answers or [x * version / 10 + golden_offset for x in INPUTS]
        model = self._commit(pipeline, "model", str(version), answers, f"{version}-{golden_offset}")
        candidate = Candidate(
            version=version,
            night=night or date(2026, 1, 1) + timedelta(days=version),
            model=model,
        )
        return with_passed_gate(self.bucket, pipeline, candidate)

    def with_variant(self, candidate: Candidate, factor: float) -> Candidate:
        """The same version, a TFLite variant in the model's place that answers ``x * factor``."""
        answers = [x * factor for x in INPUTS]
        variant = self._commit(PIPELINE, "variant", "tflite", answers, f"{candidate.version}")
        return candidate.model_copy(update={"served": variant})

    def _commit(
        self, pipeline: str, kind: str, saved: str, answers: list[float], key: str
    ) -> ArtifactRef:
        draft = self.folder / f"draft-{pipeline}-{kind}-{key}"
        shutil.copytree(self.saved_models / saved, draft / "saved_model")
        golden = {
            "signature": "serving_default",
            "inputs": {"x": INPUTS},
            "outputs": {"probability": answers},
            "tolerance": 1e-5,
        }
        (draft / "golden.json").write_text(json.dumps(golden))
        manifest = Manifest(
            pipeline=pipeline,
            kind=kind,
            key=digest(f"{pipeline}-{key}".encode())[:32],
            attempt=new_attempt(),
            files={},
            created=datetime.now(UTC),
        )
        artifact = ArtifactStore(self.bucket).commit(manifest, draft)
        shutil.rmtree(draft)
        return artifact.ref

    def ask(self, candidate: Candidate, *, pipeline: str = PIPELINE, **options: Any) -> str:
        """Ask for a release."""
        return requests.ask(
            self.bucket, pipeline, candidate, by="test", reason="a good night", **options
        )

    def await_end(
        self, release: str, *, seconds: float = 60, pipeline: str = PIPELINE
    ) -> ReleaseState:
        """Wait for a release to end."""
        state = requests.watch(self.bucket, pipeline, release)

        def ended() -> bool:
            nonlocal state
            state = requests.watch(self.bucket, pipeline, release)
            return state.ended

        try:
            wait_until(ended, seconds=seconds, what=f"release {release} ends")
        except AssertionError as error:
            raise AssertionError(f"{error}: {state}\n{self.agent.output[-4000:]}") from None
        return state

    def release(self, version: int, *, pipeline: str = PIPELINE) -> ReleaseState:
        """Publish a version, release it, and wait for its end."""
        candidate = self.publish(version, pipeline=pipeline)
        return self.await_end(self.ask(candidate, pipeline=pipeline), pipeline=pipeline)

    def predict(self, client: httpx.Client | None = None, pipeline: str = PIPELINE) -> Answer:
        """One prediction through Envoy."""
        url = f"http://{self.machine.layout.rest}/v1/models/{pipeline}:predict"
        session = client or httpx
        response = session.post(url, json={"inputs": {"x": INPUTS}}, timeout=10)
        return Answer(response)

    def await_version(self, version: int, *, seconds: float = 20) -> None:
        """Wait until a version answers through Envoy."""
        wait_until(
            lambda: self.predict().version == version,
            seconds=seconds,
            what=f"version {version} answers",
        )

    def local(
        self, method: str, path: str, *, token: str = TOKEN, **options: Any
    ) -> httpx.Response:
        """A call to the agent's local API."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        url = f"http://{HOST}:{self.agent_port}{path}"
        return httpx.request(method, url, headers=headers, timeout=10, **options)

    @contextmanager
    def traffic(self, clients: int = 3) -> Iterator[list[Answer]]:
        """Clients that send predictions without a pause while the block runs."""
        seen: list[Answer] = []
        stop = threading.Event()

        def client() -> None:
            with httpx.Client() as session:
                while not stop.is_set():
                    seen.append(self.predict(session))

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield seen
        finally:
            stop.set()
            for thread in threads:
                thread.join()


class Answer:
    """What a client got: the status, and which version answered rightly."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.text = response.text
        self.at = time.monotonic()
        header = response.headers.get("x-nightshift-version")
        self.version = int(header) if header else None

    @property
    def is_right(self) -> bool:
        """Whether the numbers are those of the version that the header names."""
        if self.status != 200 or self.version is None:
            return False
        values = json.loads(self.text)["outputs"]
        values = values["probability"] if isinstance(values, dict) else values
        expected = [x * self.version / 10 for x in INPUTS]
        return all(abs(a - b) < 1e-5 for a, b in zip(values, expected, strict=True))


def _listens(address: Address) -> bool:
    try:
        httpx.get(f"http://{address}/v1/models/none", timeout=2)
    except httpx.HTTPError:
        return False
    return True
