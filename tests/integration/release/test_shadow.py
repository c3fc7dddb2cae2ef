"""Answers compared on real requests: Envoy's tap, two model servers, a Shadow of the test's own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nightshift.release.comparison import Compared
from nightshift.release.model_server import ModelServer
from nightshift.release.record import Colour
from nightshift.release.sample import Sample
from nightshift.release.shadow import Shadow, ShadowTarget
from tests.integration.release.rig import INPUTS, PIPELINE, Machine, Rig
from tests.integration.servers import S3, wait_until

KEY = "00000001-shadow"


class Watcher:
    """A Shadow beside the rig's agent, and every sample that it saw."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.samples: list[Sample] = []
        layout = rig.machine.layout
        servers = {c: ModelServer(rig.machine.upstreams[c].rest) for c in Colour}
        self.shadow = Shadow(
            layout.admin, servers, folder, most_per_second=500, also=self.samples.append
        )

    def watch(self, *, other_version: int = 1, tolerance: float = 0.2) -> None:
        """Compare green's version 2, which is live, with blue's version 1."""
        target = ShadowTarget(
            PIPELINE, KEY, Colour.GREEN, 2, Colour.BLUE, other_version, 1.0, tolerance
        )
        self.record()
        self.shadow.watch({PIPELINE: target})
        wait_until(lambda: self.shadow.recorder.is_open, seconds=10, what="Envoy copies requests")

    def record(self) -> None:
        """Keep every request's sample."""
        self.shadow.record({PIPELINE: 1.0})

    def seen(self) -> Compared:
        """All counts so far."""
        return self.shadow.compared(PIPELINE, KEY)

    def await_pairs(self, pairs: int) -> Compared:
        """Wait for so many pairs."""
        wait_until(lambda: self.seen().pairs >= pairs, seconds=10, what=f"{pairs} pairs")
        return self.seen()


@pytest.fixture(scope="module")
def rig(
    machine: Machine, tmp_path_factory: pytest.TempPathFactory, s3_of_module: S3, saved_models: Path
) -> Iterator[Rig]:
    """Version 2 is live on green, version 1 is still loaded on blue."""
    rig = Rig(machine, tmp_path_factory.mktemp("shadow"), s3_of_module, saved_models)
    with rig.agent:
        for version in (1, 2):
            rig.await_end(rig.ask(rig.publish(version)), seconds=240)
        rig.await_version(2, seconds=60)
        yield rig


@pytest.fixture
def watcher(rig: Rig, tmp_path: Path) -> Iterator[Watcher]:
    """A Shadow of the test's own, which watches nothing yet."""
    watcher = Watcher(rig, tmp_path / "shadow")
    yield watcher
    watcher.shadow.close()


def test_both_answers_to_real_requests_are_compared(watcher: Watcher) -> None:
    watcher.watch()

    for _ in range(20):
        assert watcher.rig.predict().is_right

    seen = watcher.await_pairs(20)
    # Version 1 answers x / 10, version 2 x / 5: rows differ by 0.1, 0.2 and 0.3.
    assert (seen.pairs, seen.answered) == (20, 20)
    assert 0 < seen.disagreements < 20
    assert sum(seen.blue) == sum(seen.green) == 20
    first = watcher.samples[0]
    assert (first.colour, first.version, first.status) == (Colour.GREEN, 2, 200)
    assert first.inputs == {"x": INPUTS}


def test_rows_and_grpc_are_compared_as_columns_are(watcher: Watcher) -> None:
    watcher.watch(tolerance=1)
    rest = watcher.rig.machine.layout.rest
    body = {"instances": [{"x": value} for value in INPUTS]}

    answer = httpx.post(f"http://{rest}/v1/models/{PIPELINE}:predict", json=body)
    _ask_by_grpc(watcher.rig)

    assert answer.status_code == 200
    seen = watcher.await_pairs(2)
    assert (seen.pairs, seen.answered, seen.disagreements) == (2, 2, 0)
    assert [sample.inputs for sample in watcher.samples] == [{"x": INPUTS}] * 2


def test_requests_that_both_refuse_say_nothing(watcher: Watcher) -> None:
    watcher.watch()
    rest = watcher.rig.machine.layout.rest

    url = f"http://{rest}/v1/models/{PIPELINE}:predict"
    assert httpx.post(url, json={"inputs": {"wrong": [1.0]}}).status_code == 400
    httpx.post(url, content=b"\xff\xfe")
    assert watcher.rig.predict().is_right

    seen = watcher.await_pairs(2)
    assert (seen.answered, seen.failed_alone.blue, seen.failed_alone.green) == (1, 0, 0)
    assert watcher.shadow.recorder.counts["unreadable"] == 1


def test_a_version_that_is_not_there_is_nobodys_failure(watcher: Watcher) -> None:
    watcher.watch(other_version=9)

    assert watcher.rig.predict().is_right

    wait_until(lambda: watcher.seen().unanswered == 1, seconds=10, what="it is unanswered")
    assert watcher.seen().pairs == 0


def test_counts_outlive_the_agent(watcher: Watcher, tmp_path: Path) -> None:
    watcher.watch()
    assert watcher.rig.predict().is_right
    seen = watcher.await_pairs(1)
    watcher.shadow.close()

    again = Watcher(watcher.rig, tmp_path / "shadow")

    assert again.shadow.compared(PIPELINE, KEY) == seen
    again.watch()
    assert watcher.rig.predict().is_right
    assert again.await_pairs(2).pairs == 2
    again.shadow.close()


def test_counts_are_on_disk_within_seconds(watcher: Watcher, tmp_path: Path) -> None:
    watcher.watch()
    assert watcher.rig.predict().is_right
    watcher.await_pairs(1)

    file = tmp_path / "shadow" / "compared.json"

    wait_until(file.exists, seconds=5, what="the counts are saved")


def test_with_nothing_to_watch_or_record_envoy_copies_nothing(watcher: Watcher) -> None:
    watcher.watch()
    watcher.shadow.watch({})
    assert watcher.shadow.recorder.is_open
    watcher.shadow.record({})
    wait_until(lambda: not watcher.shadow.recorder.is_open, seconds=5, what="the tap is closed")
    before = _tapped(watcher.rig)

    assert watcher.rig.predict().is_right

    assert _tapped(watcher.rig) == before


def test_a_second_reader_waits_until_the_first_is_gone(watcher: Watcher, tmp_path: Path) -> None:
    watcher.watch()
    second = Watcher(watcher.rig, tmp_path / "second")
    target = ShadowTarget(PIPELINE, KEY, Colour.GREEN, 2, Colour.BLUE, 1, 1.0)
    second.shadow.watch({PIPELINE: target})
    time.sleep(1)
    assert not second.shadow.recorder.is_open

    watcher.shadow.close()

    wait_until(lambda: second.shadow.recorder.is_open, seconds=10, what="the second one reads")
    second.shadow.close()


def test_a_restarted_envoy_is_tapped_again(watcher: Watcher) -> None:
    watcher.watch()
    envoy = watcher.rig.machine.envoy
    envoy.kill()
    wait_until(lambda: not watcher.shadow.recorder.is_open, seconds=5, what="the tap broke")

    envoy.start()

    wait_until(lambda: watcher.shadow.recorder.is_open, seconds=20, what="Envoy copies again")
    watcher.rig.await_version(2)
    before = watcher.seen().pairs
    assert watcher.rig.predict().is_right
    watcher.await_pairs(before + 1)


def _tapped(rig: Rig) -> int:
    stats = httpx.get(f"http://{rig.machine.layout.admin}/stats?filter=rq_tapped").text
    return sum(int(line.rpartition(" ")[2]) for line in stats.splitlines())


def _ask_by_grpc(rig: Rig) -> None:
    import grpc
    import tensorflow
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = PIPELINE
    request.inputs["x"].CopyFrom(tensorflow.make_tensor_proto(INPUTS))
    with grpc.insecure_channel(str(rig.machine.layout.grpc)) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        stub.Predict(request, timeout=10, metadata=(("x-nightshift-pipeline", PIPELINE),))
