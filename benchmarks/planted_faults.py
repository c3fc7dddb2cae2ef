"""Ten kinds of bad versions, then good ones, released while clients ask: who is stopped, and when?

``benchmarks/planted_faults [GOOD [KIND …]]``: real object store, agent, Envoy and model servers on
one host. Every version gives the answers of the live one; what is wrong with a bad one its
SavedModel does, or the server that plants faults (tests/integration/release/faulty_server.py).
Clients ask over REST and gRPC without a pause. Then GOOD (50) good releases: none may be stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from tests.integration.release.rig import PIPELINE, Machine, Rig
from tests.integration.servers import S3, SeaweedServer, make_buckets

from nightshift.definition.rollout import Analysis, CanaryStep, Rollout, Shadowing
from nightshift.release import requests
from nightshift.release.log import ReleaseLog
from nightshift.release.record import Phase
from nightshift.release.requests import ReleaseState
from nightshift.release.view import view

CLIENTS = 4
LATER = 90.0
"""Longest wait for a phase that waits for the servers."""
ROLLOUT = Rollout(
    shadow=Shadowing(seconds=3, sample=0.5, min_pairs=20),
    steps=(
        CanaryStep(weight=5, seconds=10, min_requests=200),
        CanaryStep(weight=25, seconds=10, min_requests=1000),
    ),
    bake_seconds=10,
    analysis=Analysis(latency_ratio=3),
)
QUICK = Rollout(
    shadow=Shadowing(seconds=3, sample=0.5, min_pairs=20),
    steps=(
        CanaryStep(weight=10, seconds=4, min_requests=100),
        CanaryStep(weight=50, seconds=6, min_requests=300),
    ),
    bake_seconds=5,
)
"""For the good ones, of which there are many: fewer requests leave more to chance."""
INPUTS = [1.0, 2.0, 3.0]
RARE = 77.0


class Answers(tf.Module):  # type: ignore[misc]
    """What a SavedModel itself can do wrong."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def run(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """A tenth of the input, unless the kind says otherwise."""
        answer = x * 0.1
        if self.kind == "NaN for some inputs":
            answer = tf.where(x > 50, np.nan, answer)
        if self.kind == "answers shifted":
            answer += 0.4
        if self.kind == "fails a rare category":
            with tf.control_dependencies([tf.debugging.assert_none_equal(x, RARE)]):
                answer = tf.identity(answer)
        return {"probability": answer}


BY_MODEL = ("NaN for some inputs", "answers shifted", "fails a rare category", "wrong signature")
BY_SERVER = {
    "crashes on load": ("crashes on load", 0),
    "crashes on the tenth request": ("crashes on a request", 10),
    "slow by 50 ms": ("slow", 50),
    "memory growing": ("leaks", 4),
    "1% errors": ("errors", 0.01),
    "fails only gRPC": ("errors over gRPC", 0),
}
KINDS = (*BY_MODEL, *BY_SERVER)


def save(kind: str, folder: Path) -> None:
    """A version that gives the live one's answers and has one fault."""
    model = Answers(kind)
    name = "z" if kind == "wrong signature" else "x"
    spec = tf.TensorSpec([None], tf.float32, name=name)
    serve = tf.function(model.run).get_concrete_function(spec)
    tf.saved_model.save(model, str(folder), {"serving_default": serve})
    if kind in BY_SERVER:
        fault, amount = BY_SERVER[kind]
        file = folder / "assets.extra" / "fault.json"
        file.parent.mkdir()
        file.write_text(json.dumps({"fault": fault, "amount": amount}))


@dataclass
class Seen:
    """What all clients saw; written under its lock."""

    answers: Counter[tuple[int, bool]] = field(default_factory=Counter)
    hurt: set[int] = field(default_factory=set)
    """Clients of whom a request failed."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, client: int, version: int, fine: bool) -> None:
        """One answer."""
        with self.lock:
            self.answers[version, fine] += 1
            if not fine:
                self.hurt.add(client)

    def of(self, version: int) -> int:
        """Requests that a version answered, well or not."""
        return self.answers[version, True] + self.answers[version, False]

    @property
    def failed(self) -> int:
        """Requests that failed or were answered with no number."""
        return sum(n for (_, fine), n in self.answers.items() if not fine)


def rest(rig: Rig, session: httpx.Client, value: float) -> tuple[int, bool]:
    """One REST prediction: version, and whether it was answered with a number."""
    url = f"http://{rig.machine.layout.rest}/v1/models/{PIPELINE}:predict"
    body = {"inputs": {"x": [*INPUTS[1:], value]}}
    answer = session.post(url, json=body, timeout=20)
    version = int(answer.headers.get("x-nightshift-version", 0))
    return version, answer.status_code == 200 and "NaN" not in answer.text


def over_grpc(stub: Any, value: float) -> tuple[int, bool]:
    """The same over gRPC."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = PIPELINE
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array([value, 1], np.float32)))
    try:
        answer, call = stub.Predict.with_call(
            request, timeout=20, metadata=(("x-nightshift-pipeline", PIPELINE),)
        )
    except grpc.RpcError as error:
        headers = dict(error.initial_metadata() or ())
        return int(headers.get("x-nightshift-version", 0)), False
    headers = dict(call.initial_metadata())
    values = tf.make_ndarray(next(iter(answer.outputs.values())))
    return int(headers.get("x-nightshift-version", 0)), bool(np.isfinite(values).all())


@contextmanager
def clients(rig: Rig) -> Iterator[Seen]:
    """Clients of both protocols, without a pause, while the block runs."""
    seen, stop = Seen(), threading.Event()

    def client(number: int) -> None:
        session = httpx.Client(trust_env=False)
        channel = grpc.insecure_channel(str(rig.machine.layout.grpc))
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        sent = 0
        while not stop.is_set():
            sent += 1
            # One request in fifty is of the rare kind.
            value = RARE if sent % 50 == number else float(sent % 5)
            try:
                found = rest(rig, session, value) if number % 2 else over_grpc(stub, value)
            except httpx.HTTPError:
                found = (0, False)
            seen.add(number, *found)
            stop.wait(0.002)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class Trial:
    """One host, and a supervisor for its servers, as every installation has one."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, daemon=True)

    def __enter__(self) -> Trial:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _supervise(self) -> None:
        while not self._stop.wait(0.2):
            for server in self.rig.machine.servers.values():
                if not server.running:
                    server.start()

    def release(self, version: int, kind: str) -> tuple[ReleaseState, Seen, float, Phase]:
        """Release a version of a kind before clients; how it ended, and in which phase."""
        folder = self.rig.saved_models / str(version)
        save(kind, folder)
        shift = 0.4 if kind == "answers shifted" else 0.0
        candidate = self.rig.publish(version, answers=[x * 0.1 + shift for x in INPUTS])
        with clients(self.rig) as seen:
            began = time.monotonic()
            rollout = QUICK if kind == "good" else ROLLOUT
            release = self.rig.ask(candidate, rollout=rollout, timeout_seconds=LATER)
            state = self.rig.await_end(release, seconds=180)
            spent = time.monotonic() - began
            time.sleep(1)
        shutil.rmtree(folder)
        if state.succeeded and kind != "good":
            # The next one is to be compared with a good version.
            requests.rollback(self.rig.bucket, PIPELINE, by="benchmark", reason=kind)
        return state, seen, spent, last_phase(self.rig, state)


def last_phase(rig: Rig, state: ReleaseState) -> Phase:
    """The phase in which a release ended."""
    phases = [
        event.record.phase for event in ReleaseLog(rig.bucket, PIPELINE).events(int(state.id))
    ]
    return phases[-2]


def green_requests(rig: Rig) -> int:
    """Requests of clients that the newest version answered."""
    record = requests.record(rig.bucket, PIPELINE)
    assert record.request is not None
    stretches = view(rig.bucket, record).stretches.values()
    return sum(s.traffic.of(record.request.colour).requests for s in stretches)


def bad(trial: Trial, kinds: list[str], first: int) -> int:
    """A row for each kind; the next free version."""
    print(
        "| fault | stopped in | requests it had | failed, of all | clients hurt | seconds | why |"
    )
    print("|---|---|---|---|---|---|---|")
    for version, kind in enumerate(kinds, first):
        state, seen, spent, phase = trial.release(version, kind)
        total = sum(seen.answers.values())
        why = state.message.split("; ", 1)[1][:160].replace("|", "/").replace("\n", " ")
        stopped = "NOT STOPPED" if state.succeeded else str(phase)
        print(
            f"| {kind} | {stopped} | {green_requests(trial.rig)} | {seen.failed} of {total} "
            f"({seen.failed / total:.2%}) | {len(seen.hurt)} of {CLIENTS} | {spent:.0f} | {why} |",
            flush=True,
        )
        if state.succeeded:
            tell(trial.rig)
    return first + len(kinds)


def tell(rig: Rig) -> None:
    """How far every rule came with a bad version that was not stopped."""
    shown = view(rig.bucket, requests.record(rig.bucket, PIPELINE))
    for check in shown.checks:
        print(f"  {check.rule}: {check.evidence:.2f}: {check.text}", file=sys.stderr)
    for name, stretch in shown.stretches.items():
        print(f"  {name}: {stretch.model_dump_json()}", file=sys.stderr)


def good(trial: Trial, count: int, first: int) -> None:
    """How many of so many good releases were stopped, and what clients saw."""
    stopped, failed, asked = [], 0, 0
    for version in range(first, first + count):
        state, seen, _, _ = trial.release(version, "good")
        failed, asked = failed + seen.failed, asked + sum(seen.answers.values())
        if not state.succeeded:
            stopped.append(state.message)
        done = version - first + 1
        told = f"{done} of {count} good releases, {len(stopped)} stopped, {asked} requests"
        print(told, file=sys.stderr, flush=True)
    print(f"\n{count} good releases: {len(stopped)} stopped; {failed} of {asked} requests failed")
    for message in stopped:
        print(f"- {message}")


@contextmanager
def scratch_store() -> Iterator[tuple[Path, S3]]:
    """A folder, and an empty object store that the environment names, while the block runs."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        SeaweedServer(Path(scratch) / "seaweed").start() as seaweed,
    ):
        s3 = S3(seaweed.ready(), "nightshift", "lake")
        make_buckets(seaweed.client_environment, "nightshift", "lake")
        os.environ.update(s3.environment)
        yield Path(scratch), s3


def main(good_releases: int, kinds: list[str]) -> None:
    """Both tables."""
    with scratch_store() as (folder, s3):
        machine = Machine(folder / "machine", "tests.integration.release.faulty_server")
        models = folder / "models"
        models.mkdir()
        rig = Rig(machine, folder / "host", s3, models)
        try:
            machine.start()
            with rig.agent, Trial(rig) as trial:
                save("good", models / "1")
                assert rig.await_end(rig.ask(rig.publish(1, answers=[0.1, 0.2, 0.3]))).succeeded
                following = bad(trial, kinds, 2)
                good(trial, good_releases, following)
        finally:
            machine.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50, sys.argv[2:] or list(KINDS))
