"""Roll back by hand on three hosts, and see when the last request meets the version left.

``benchmarks/rollback_three_hosts [TRIES]`` (20): three serving hosts, each an agent, an Envoy and
two model servers in a network namespace of its own; one client a host asks fifty times a second.
Each try releases a new version, then runs ``./nightshift rollback`` as on-call would.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from planted_faults import INPUTS, save
from tests.integration.ports import free_port
from tests.integration.release.rig import PIPELINE, Machine, Rig
from tests.integration.servers import S3, SeaweedServer, make_buckets, wait_until
from two_machines import NETWORK, machines

from nightshift.release import requests
from nightshift.runtimes import Runtime, python_of
from nightshift.stack.environment import ARTIFACT_BUCKET, LAKE_BUCKET, s3_keys
from nightshift.stack.settings import current_settings
from nightshift.storage.roles import Role

HOSTS = 3


@dataclass
class Client:
    """Asks one host fifty times a second; remembers when each version answered last."""

    rig: Rig
    last: dict[int, float] = field(default_factory=dict)
    answered: int = 0
    failed: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until it is told to stop."""
        with httpx.Client(trust_env=False) as session:
            url = f"http://{self.rig.machine.layout.rest}/v1/models/{PIPELINE}:predict"
            while not self.stop.wait(0.02):
                try:
                    answer = session.post(url, json={"inputs": {"x": INPUTS}}, timeout=10)
                except httpx.HTTPError:
                    self.failed += 1
                    continue
                self.answered += 1
                self.failed += answer.status_code != 200
                self.last[int(answer.headers["x-nightshift-version"])] = time.monotonic()


@contextmanager
def forwarded(port: int, to: tuple[str, int]) -> Iterator[None]:
    """The object store at the port where the command looks for the stack's own."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*to)
        await asyncio.gather(
            copy(reader, far_writer), copy(far_reader, writer), return_exceptions=True
        )

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    serving = asyncio.start_server(connect, "127.0.0.1", port)
    asyncio.run_coroutine_threadsafe(serving, loop).result(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)


def roll_back() -> None:
    """What a person types."""
    command = [str(python_of(Runtime.TOOLS)), "-m", "nightshift.command"]
    asked = [*command, "rollback", PIPELINE, "--reason", "measuring"]
    done = subprocess.run(asked, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def attempt(rigs: list[Rig], clients: list[Client], version: int) -> tuple[float, float]:
    """Release a version and leave it: seconds to its last answer, and the command's."""
    first = rigs[0]
    save("good", first.saved_models / str(version))
    release = first.ask(first.publish(version, answers=[x / 10 for x in INPUTS]))
    state = first.await_end(release, seconds=120)
    assert state.succeeded, state.message
    wait_until(lambda: all(version in c.last for c in clients), seconds=30, what="it answers")
    began = time.monotonic()
    roll_back()
    command = time.monotonic() - began
    time.sleep(2)
    return max(client.last[version] for client in clients) - began, command


def main(tries: int) -> None:
    """The table."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch)
        os.environ["NIGHTSHIFT_HOME"] = str(folder / "home")
        os.environ["NIGHTSHIFT_PORT_BASE"] = str(free_port() // 100 * 100)
        settings = current_settings()
        made = stack.enter_context(machines(HOSTS))
        seaweed = SeaweedServer(folder / "seaweed", f"{NETWORK}.1")
        shown = s3_keys(settings, Role.COMMAND)
        seaweed.access_key, seaweed.secret_key = shown.access, shown.secret
        seaweed.environment |= {
            "AWS_ACCESS_KEY_ID": seaweed.access_key,
            "AWS_SECRET_ACCESS_KEY": seaweed.secret_key,
        }
        stack.enter_context(seaweed.start())
        s3 = S3(seaweed.ready(), ARTIFACT_BUCKET, LAKE_BUCKET)
        make_buckets(seaweed.client_environment, ARTIFACT_BUCKET, LAKE_BUCKET)
        os.environ.update(s3.environment)
        stack.enter_context(forwarded(settings.ports.s3, (f"{NETWORK}.1", seaweed.port)))
        models = folder / "models"
        models.mkdir()
        rigs = []
        for host in made:
            inside = ["ip", "netns", "exec", host.name]
            machine = Machine(folder / host.name, address=host.address, inside=inside)
            stack.callback(machine.stop)
            machine.start()
            rig = Rig(machine, folder / f"{host.name}-agent", s3, models, name=host.name)
            stack.enter_context(rig.agent)
            rigs.append(rig)
        measure(rigs, tries)


def measure(rigs: list[Rig], tries: int) -> None:
    """All tries before clients."""
    save("good", rigs[0].saved_models / "1")
    wait_until(lambda: len(requests.hosts(rigs[0].bucket)) == HOSTS, seconds=60, what="all report")
    release = rigs[0].ask(rigs[0].publish(1, answers=[x / 10 for x in INPUTS]))
    assert rigs[0].await_end(release, seconds=120).succeeded
    clients = [Client(rig) for rig in rigs]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    try:
        found = [attempt(rigs, clients, version) for version in range(2, tries + 2)]
    finally:
        for client in clients:
            client.stop.set()
        for thread in threads:
            thread.join()
    print("| | median s | slowest s |\n|---|---|---|")
    for place, name in enumerate(("last answer of the version left", "command")):
        times = [row[place] for row in found]
        print(f"| {name} | {statistics.median(times):.2f} | {max(times):.2f} |")
    asked, failed = sum(c.answered for c in clients), sum(c.failed for c in clients)
    print(f"\n{tries} tries on {HOSTS} hosts; {asked} requests, {failed} failed")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
