"""What sampling live requests costs: requests a second and their times, with the tap and without.

``benchmarks/recorder [SECONDS [ROUNDS]]``: wrk asks through an Envoy as the project writes it; what
answers is a second Envoy with a fixed body, so that the first one is all that is measured. The ways
are taken in turns. The recorder reads in a process of its own, as an agent does, on the same cores.
Processor time a request is what a busy machine does not blur.
"""

from __future__ import annotations

import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from tests.integration.ports import free_port
from tests.integration.servers import answers, tool, wait_until

from nightshift.release.address import Address, Upstream
from nightshift.release.edge import Edge
from nightshift.release.envoy import EnvoyLayout, render_bootstrap, write_files
from nightshift.release.layout import HostLayout
from nightshift.release.record import Colour, Weights
from nightshift.release.recorder import Recorder
from nightshift.release.routes import PipelineRoute

PIPELINE = "flights"
REQUEST = json.dumps({"instances": [{"carrier": "WN", "dest": "HOU", "distance": 1411.0}]})
ANSWER = json.dumps({"predictions": [0.25]})
SHARES = {"1 %": 0.01, "10 %": 0.1, "100 %": 1.0}
IDLE, NO_FILTER = "filter idle", "no filter"


class Run(NamedTuple):
    """One way, once.

    Attributes:
        rate: Requests a second.
        p99: Milliseconds.
        failed: Requests that failed.
        envoy: Microseconds of processor time that Envoy took a request.
        reader: The same of the recorder.
    """

    rate: float
    p99: float
    failed: int
    envoy: float
    reader: float = 0.0


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its children so far."""
    process = psutil.Process(pid)
    times = [p.cpu_times() for p in (process, *process.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def local() -> Address:
    """A free port."""
    return Address("127.0.0.1", free_port())


@contextmanager
def envoy(bootstrap: Path, admin: Address) -> Iterator[int]:
    """An Envoy while the block runs."""
    command: list[str | Path] = [
        tool("envoy"),
        "-c",
        bootstrap,
        "--use-dynamic-base-id",
        "--concurrency",
        "2",
    ]
    process = subprocess.Popen([*command, "-l", "error"])
    try:
        wait_until(lambda: answers(f"http://{admin}/ready"), seconds=60, what="Envoy is ready")
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def backend(folder: Path, listens: Address, admin: Address) -> Path:
    """The bootstrap file of an Envoy that answers every request alike."""
    route = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": ANSWER}},
    }
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "backend",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    listener = {
        "name": "backend",
        "address": listens.socket,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    path = folder / "backend.json"
    written = {"admin": {"address": admin.socket}, "static_resources": {"listeners": [listener]}}
    path.write_text(json.dumps(written))
    return path


def front(folder: Path, answering: Address, *, with_filter: bool) -> tuple[Path, EnvoyLayout]:
    """The project's own bootstrap, route and cluster files."""
    layout = EnvoyLayout(rest=local(), grpc=local(), admin=local(), folder=folder)
    bootstrap = write_files(layout, folder)
    if not with_filter:
        document: Any = json.loads(render_bootstrap(layout))
        for listener in document["static_resources"]["listeners"]:
            manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
            manager["http_filters"] = [f for f in manager["http_filters"] if f["name"] != "tap"]
        bootstrap.write_text(json.dumps(document))
    upstreams = {colour: Upstream(answering, answering) for colour in Colour}
    edge = Edge(HostLayout(folder, folder, folder / "state", folder), layout.admin, upstreams)
    edge.set([PipelineRoute(pipeline=PIPELINE, weights=Weights.all_to(Colour.BLUE), blue=1)])
    return bootstrap, layout


def load(layout: EnvoyLayout, pid: int, seconds: int, script: Path, reader: int = 0) -> Run:
    """Ask for so long; ``pid`` is Envoy's, ``reader`` the recorder's."""
    url = f"http://{layout.rest}/v1/models/{PIPELINE}:predict"
    command: list[str | Path] = [
        "wrk",
        "-t1",
        "-c16",
        f"-d{seconds}",
        "--latency",
        "-s",
        script,
        url,
    ]
    before = cpu_seconds(pid), cpu_seconds(reader) if reader else 0.0
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = cpu_seconds(pid), cpu_seconds(reader) if reader else 0.0
    [rate] = re.findall(r"Requests/sec:\s+([\d.]+)", text)
    [count] = re.findall(r"(\d+) requests in", text)
    [[number, unit]] = re.findall(r"99%\s+([\d.]+)(us|ms|s)", text)
    failed = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    p99 = float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    each = [1e6 * (b - a) / int(count) for a, b in zip(before, after, strict=True)]
    return Run(float(rate), p99, failed, *each)


@contextmanager
def reader(layout: EnvoyLayout, share: float) -> Iterator[int]:
    """A recorder in a process of its own while the block runs."""
    command = [sys.executable, __file__, "read", str(layout.admin), str(share)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
    finally:
        process.terminate()
        print(f"    {process.communicate()[0].strip()}", file=sys.stderr)


def read(admin: str, share: str) -> None:
    """Be that process."""
    recorder = Recorder(Address.parse(admin), lambda sample: None)
    recorder.want({PIPELINE: float(share)})
    wait_until(lambda: recorder.is_open, seconds=20, what="Envoy copies requests")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(recorder.counts)))
    print("open", flush=True)
    while True:
        time.sleep(1)


def main(seconds: int = 5, rounds: int = 5) -> None:
    """Measure, print a table in Markdown."""
    seen: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        script = folder / "post.lua"
        script.write_text(f'wrk.method = "POST"\nwrk.body = [[{REQUEST}]]\n')
        answering, backend_admin = local(), local()
        stack.enter_context(envoy(backend(folder, answering, backend_admin), backend_admin))
        fronts = {}
        for way in (NO_FILTER, IDLE):
            bootstrap, layout = front(folder / way, answering, with_filter=way == IDLE)
            fronts[way] = layout, stack.enter_context(envoy(bootstrap, layout.admin))
            load(*fronts[way], 1, script)
        for _ in range(rounds):
            for way, there in fronts.items():
                seen.setdefault(way, []).append(load(*there, seconds, script))
            for way, share in SHARES.items():
                with reader(fronts[IDLE][0], share) as pid:
                    seen.setdefault(way, []).append(load(*fronts[IDLE], seconds, script, pid))
    show(seen)


def show(seen: dict[str, list[Run]]) -> None:
    """The table: medians of all rounds."""
    print(
        "| sampled | requests a second (lowest, highest) | p99, ms | failed | Envoy, µs a request "
        "| recorder, µs a request |\n|---|---|---|---|---|---|"
    )
    for way, found in seen.items():
        rate, p99, _, of_envoy, of_reader = (
            statistics.median(column) for column in zip(*found, strict=True)
        )
        low, high = min(run.rate for run in found), max(run.rate for run in found)
        failed = sum(run.failed for run in found)
        print(
            f"| {way} | {rate:,.0f} ({low:,.0f}, {high:,.0f}) | {p99:.1f} | {failed} "
            f"| {of_envoy:.0f} | {of_reader:.0f} |"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["read"]:
        read(*sys.argv[2:])
    else:
        main(*map(int, sys.argv[1:]))
