"""Steady load through three progressive releases, a bad one and a way back: who is let down?

``benchmarks/releases_under_load [SECONDS [KIND …]]`` (600 and all): one serving host with TLS, keys
and signatures, all of it real. h2load (Debian: nghttp2-client) sends 120 REST and 120 gRPC requests
a second. Three good versions go through shadow, two steps and baking; a fourth, whose memory grows
with every request, is stopped by the release itself; then a person rolls back. gRPC's failures are
HTTP 200: they are what Envoy counts as success less than h2load sent. Of other KINDs the first must
be good: the roll-back needs a version to go back to.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import tensorflow as tf
from planted_faults import INPUTS, save, scratch_store
from tensorflow_serving.apis import predict_pb2
from tests.integration.locked.doors import KEYS
from tests.integration.locked.host import LockedHost, locked_host
from tests.integration.release.rig import PIPELINE

from nightshift.definition.rollout import CanaryStep, Rollout, Shadowing
from nightshift.release import requests

PER_SECOND = 120
"""Requests of each protocol."""
CONNECTIONS = 4
ROLLOUT = Rollout(
    shadow=Shadowing(seconds=10, sample=0.1),
    steps=(
        CanaryStep(weight=10, seconds=15, min_requests=200),
        CanaryStep(weight=50, seconds=15, min_requests=500),
    ),
    bake_seconds=20,
)
UNSEEN = ROLLOUT.model_copy(update={"shadow": Shadowing(sample=0.01)})
"""For the bad version, which a shadow would stop before any client saw it."""


@dataclass
class Load:
    """h2load on one protocol, and what it saw: start (s since epoch), status, milliseconds."""

    protocol: str
    process: subprocess.Popen[str]
    log: Path
    seen: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))

    @classmethod
    def start(cls, protocol: str, host: LockedHost, seconds: int, folder: Path) -> Load:
        """Begin to ask."""
        layout, log = host.rig.machine.layout, folder / f"{protocol}.tsv"
        body = folder / f"{protocol}.body"
        shown = {"x-api-key": KEYS["shop"]}
        if protocol == "REST":
            url = f"https://{layout.rest}/v1/models/{PIPELINE}:predict"
            body.write_bytes(b'{"inputs": {"x": [1.0, 2.0, 3.0]}}')
            kind = ["--h1", "-H", "content-type: application/json"]
        else:
            url = f"https://{layout.grpc}/tensorflow.serving.PredictionService/Predict"
            body.write_bytes(_grpc_body())
            shown["x-nightshift-pipeline"] = PIPELINE
            kind = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        headers = [word for name, value in shown.items() for word in ("-H", f"{name}: {value}")]
        rate = ["-c", str(CONNECTIONS), f"--rps={PER_SECOND // CONNECTIONS}", "-D", str(seconds)]
        # Many streams a connection, so that a slow answer does not lower the rate.
        streams = [] if protocol == "REST" else ["-m", "20"]
        command = ["h2load", *kind, *rate, *streams, f"--log-file={log}", "-d", str(body)]
        process = subprocess.Popen(
            [*command, *headers, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return cls(protocol, process, log)

    def end(self) -> None:
        """Wait for its end and read what it saw."""
        said, _ = self.process.communicate()
        assert self.process.returncode == 0, said
        rows = np.loadtxt(self.log, ndmin=2)
        self.seen = rows * [1e-6, 1, 1e-3]


def _grpc_body() -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = PIPELINE
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array(INPUTS, np.float32)))
    message = request.SerializeToString()
    return b"\x00" + len(message).to_bytes(4, "big") + message


@dataclass
class Story:
    """What happened when: name, begin and end in seconds since the epoch."""

    changes: list[tuple[str, float, float]] = field(default_factory=list)

    @contextmanager
    def change(self, name: str) -> Iterator[None]:
        """A change of what is served, from its request to its end."""
        began = time.time()
        yield
        self.changes.append((name, began, time.time()))
        print(f"{name}: {time.time() - began:.0f} s", file=sys.stderr, flush=True)


KINDS = ("good", "good", "good", "memory growing")


def act(host: LockedHost, story: Story, kinds: Sequence[str], until: float) -> None:
    """Versions of these kinds, then the roll-back, with rest between them."""
    pause = 15.0
    time.sleep(2 * pause)
    for version, kind in enumerate(kinds, 2):
        save(kind, host.rig.saved_models / str(version))
        candidate = host.register(version, answers=[x / 10 for x in INPUTS])
        with story.change(f"release of version {version} ({kind})"):
            release = requests.ask(
                host.rig.bucket,
                PIPELINE,
                candidate,
                by="benchmark",
                reason="load",
                rollout=ROLLOUT if kind == "good" else UNSEEN,
            )
            state = host.rig.await_end(release, seconds=240)
        assert state.succeeded == (kind == "good"), state.message
        print(state.message, file=sys.stderr, flush=True)
        time.sleep(pause)
    with story.change("roll-back by hand"):
        requests.rollback(host.rig.bucket, PIPELINE, by="benchmark", reason="load")
        time.sleep(5)
    time.sleep(max(0.0, until - time.time()))


def report(host: LockedHost, loads: list[Load], story: Story) -> None:
    """One row for each change and protocol, one for the rest; then the failures."""
    print("| | protocol | requests | not HTTP 200 | p50 ms | p99 ms | p99 to rest |")
    print("|---|---|---|---|---|---|---|")
    for load in loads:
        at, took = load.seen[:, 0], load.seen[:, 2]
        within = [(name, (at >= began) & (at < ended)) for name, began, ended in story.changes]
        resting = ~np.any([mask for _, mask in within], axis=0)
        rest = np.percentile(took[resting], 99)
        for name, mask in (("at rest", resting), *within):
            p50, p99 = np.percentile(took[mask], [50, 99])
            failed = int((load.seen[mask, 1] != 200).sum())
            print(
                f"| {name} | {load.protocol} | {mask.sum():,} | {failed} | {p50:.1f} | {p99:.1f} "
                f"| {p99 / rest:.2f} |"
            )
    sent = len(loads[1].seen)
    print(f"\ngRPC: {sent:,} sent, {grpc_successes(host):,} succeeded as Envoy counts them")
    seconds = max(load.seen[-1, 0] for load in loads) - min(load.seen[0, 0] for load in loads)
    total = sum(len(load.seen) for load in loads)
    print(f"{total:,} requests in {seconds:.0f} s, {total / seconds:.0f} a second")


def grpc_successes(host: LockedHost) -> int:
    """Calls of Predict that ended with gRPC's OK, on both colours, since Envoy began."""
    url = f"http://{host.rig.machine.layout.admin}/stats"
    wanted = {"filter": r"^cluster\..*PredictionService\.Predict\.success$"}
    lines = httpx.get(url, params=wanted, trust_env=False).text.splitlines()
    return sum(int(line.rsplit(": ", 1)[1]) for line in lines)


def main(seconds: int, kinds: Sequence[str]) -> None:
    """Load, change, report."""
    with scratch_store() as (folder, s3):
        models = folder / "models"
        save("good", models / "1")
        server = "tests.integration.release.faulty_server"
        with locked_host(folder / "host", s3, models, server=server) as host:
            first = host.register(1, answers=[x / 10 for x in INPUTS])
            assert host.release_registered(first).succeeded
            before, story, began = grpc_successes(host), Story(), time.time()
            assert before == 0
            loads = [Load.start(name, host, seconds, folder) for name in ("REST", "gRPC")]
            try:
                act(host, story, kinds, began + seconds)
                for load in loads:
                    load.end()
            finally:
                for load in loads:
                    load.process.kill()
            report(host, loads, story)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600, sys.argv[2:] or KINDS)
