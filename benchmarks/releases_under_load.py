"""Eight clients ask through Envoy while two releases and a roll-back happen: who is let down?

``benchmarks/releases_under_load NIGHT [PREDICTIONS]``: the live night, so that no release is
refused as older. Four clients speak REST, four speak gRPC with TensorFlow Serving's own stubs. They
ask until the changes are over and at least so many predictions (10,000) were answered.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from nightshift.stack.doors import ca_certificate, demo_key, serving_client
from nightshift.stack.settings import StackSettings, current_settings

COMMAND = Path(__file__).parents[1] / "nightshift"
PIPELINE = "flights"
CLIENTS = 4
"""Of each protocol."""
ROW: dict[str, str | int | float] = {
    "carrier": "WN",
    "origin": "EWR",
    "dest": "HOU",
    "month": 9,
    "weekday": 6,
    "sched_dep_time": 1240,
    "sched_arr_time": 1530,
    "distance": 1411.0,
}


@dataclass
class Tally:
    """What all clients of one protocol saw; written under its lock."""

    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, ask: Callable[[], float]) -> None:
        """Ask once, count how it ended."""
        started = time.perf_counter()
        try:
            problem = "" if 0 <= ask() <= 1 else "no probability"
        except (httpx.HTTPError, grpc.RpcError, AssertionError) as error:
            problem = f"{type(error).__name__}: {error}"[:200]
        spent = 1000 * (time.perf_counter() - started)
        with self.lock:
            self.milliseconds.append(spent)
            if problem:
                self.failed[problem] += 1
            else:
                self.answered += 1


def rest_client(settings: StackSettings) -> Callable[[], float]:
    """A function that asks for one probability over REST."""
    client = serving_client(settings)
    url = f"/v1/models/{PIPELINE}:predict"

    def ask() -> float:
        answer = client.post(url, json={"instances": [ROW]})
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        return float(answer.json()["predictions"][0])

    return ask


def grpc_client(settings: StackSettings) -> Callable[[], float]:
    """A function that asks for one probability over gRPC."""
    trust = grpc.ssl_channel_credentials(ca_certificate(settings).read_bytes())
    channel = grpc.secure_channel(f"127.0.0.1:{settings.ports.serving_grpc}", trust)
    metadata = (("x-nightshift-pipeline", PIPELINE), ("x-api-key", demo_key(settings)))
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = PIPELINE
    request.model_spec.signature_name = "serving_default"
    for name, value in ROW.items():
        dtype = tf.float32 if isinstance(value, float) else None
        array = np.array([value]) if not isinstance(value, int) else np.array([value], np.int64)
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array, dtype=dtype))

    def ask() -> float:
        answer = stub.Predict(request, timeout=30, metadata=metadata)
        return float(tf.make_ndarray(answer.outputs["probability"])[0])

    return ask


def main(night: str, predictions: int) -> None:
    """Load, change, report."""
    settings = current_settings()
    tallies = {"REST": Tally(), "gRPC": Tally()}
    makers = {"REST": rest_client, "gRPC": grpc_client}
    over = threading.Event()

    def work(protocol: str) -> None:
        ask, tally = makers[protocol](settings), tallies[protocol]
        while not over.is_set() or sum(t.answered for t in tallies.values()) < predictions:
            tally.count(ask)
            if sum(tally.failed.values()) > predictions:  # a broken set-up would never end
                return

    threads = [threading.Thread(target=work, args=(p,)) for p in makers for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        for arguments in (
            ("retrain", PIPELINE, "--night", night, "--force"),
            ("retrain", PIPELINE, "--night", night, "--force"),
            ("rollback", PIPELINE, "--reason", "measuring releases under load"),
        ):
            subprocess.run([COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL)
            print(f"{arguments[0]} done", flush=True)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    report(tallies)


def report(tallies: dict[str, Tally]) -> None:
    """A table in Markdown, then every kind of failure."""
    print("\n| protocol | answered | failed | p50 ms | p99 ms |\n|---|---|---|---|---|")
    for name, tally in tallies.items():
        p50, p99 = np.percentile(tally.milliseconds, [50, 99])
        print(
            f"| {name} | {tally.answered} | {sum(tally.failed.values())} | {p50:.1f} | {p99:.1f} |"
        )
    for tally in tallies.values():
        for problem, times in tally.failed.most_common():
            print(f"- {times} times: {problem}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
