"""Requests in the lake and back: recorded at Envoy, replayed by the agent, then compared."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from nightshift.data.replay_rows import Source, Wanted, rows
from nightshift.definition.load import REQUIRED_FILES
from nightshift.definition.model import Feature, FeatureType
from nightshift.definition.rollout import Rollout, Shadowing
from nightshift.release import replay, requests
from nightshift.release.comparison import Compared
from nightshift.release.record import Phase
from nightshift.release.recording_plan import RecordingPlan
from nightshift.release.request_log import ANSWER, VERSION
from nightshift.release.status import read_statuses
from tests.integration.release.rig import INPUTS, PIPELINE, Machine, Rig
from tests.integration.servers import S3, wait_until

DATASET = "asked"
DEFINITION = """
pipeline: flights
dataset: {name: asked}
label: {name: late, column: late}
features: {x: float}
window: {days: 7, holdout_days: 2}
gates: [{metric: auc, floor: 0.5}]
"""


@pytest.fixture(scope="module")
def rig(
    machine: Machine, tmp_path_factory: pytest.TempPathFactory, s3_of_module: S3, saved_models: Path
) -> Iterator[Rig]:
    """Version 1 is live, every request is recorded, files are written each second."""
    folder = tmp_path_factory.mktemp("replay")
    plan = RecordingPlan(
        dataset=DATASET, sample=1.0, features={"x": Feature(type=FeatureType.FLOAT)}
    )
    key = f"{PIPELINE}/recording.json"
    s3_of_module.artifacts.put(key, plan.model_dump_json().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIGHTSHIFT_AGENT_RECORD_SECONDS", "1")
        rig = Rig(machine, folder, s3_of_module, saved_models)
        with rig.agent:
            rig.await_end(rig.ask(rig.publish(1)), seconds=240)
            rig.await_version(1, seconds=60)
            yield rig


def test_requests_land_in_the_lake_with_the_live_versions_answers(rig: Rig) -> None:
    recorded = _recorded_rows(rig)

    def asked_and_kept() -> bool:
        # The agent looks for what to record every 15 s, so the first ones may pass by.
        assert rig.predict().is_right
        return bool(_recorded_rows(rig)) and _recorded_rows(rig) != recorded

    wait_until(asked_and_kept, seconds=60, every=0.5, what="requests are in the lake")

    first = _recorded_rows(rig)[: len(INPUTS)]
    assert [row["x"] for row in first] == INPUTS
    assert [json.loads(str(row[ANSWER])) for row in first] == pytest.approx([0.1, 0.2, 0.3])
    assert {row[VERSION] for row in first} == {1}


def test_a_request_that_is_answered_with_an_error_is_not_kept(rig: Rig) -> None:
    url = f"http://{rig.machine.layout.rest}/v1/models/{PIPELINE}:predict"

    assert httpx.post(url, json={"inputs": {"wrong": [1.0]}}).status_code == 400

    assert all(row["x"] is not None for row in _recorded_rows(rig))


def test_recorded_requests_are_replayed_to_a_version_in_its_shadow(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _read_as_the_command_does(tmp_path, monkeypatch)
    assert found and set(found[0]) == {"x"}
    release = _in_shadow(rig, version=2)
    before = _compared(rig)
    packed = gzip.compress("".join(json.dumps(row) + "\n" for row in found * 20).encode())

    asked = replay.ask(
        rig.bucket,
        PIPELINE,
        packed,
        release=release,
        host=rig.name,
        requests=len(found) * 20,
        per_second=100,
        by="test",
    )
    rig.agent.kill()
    rig.agent.start()

    rig.agent.wait_for(
        lambda: _compared(rig).replayed - before.replayed == asked.requests,
        seconds=240,
        what="all are replayed, over the agent's restart",
    )
    seen = _compared(rig)
    assert seen.pairs >= asked.requests
    assert seen.failed_alone.blue == seen.failed_alone.green == 0
    requests.abort(rig.bucket, PIPELINE, by="test", reason="seen enough")


def _in_shadow(rig: Rig, version: int) -> str:
    rollout = Rollout(shadow=Shadowing(seconds=600, sample=0.01, min_pairs=1))
    release = rig.ask(rig.publish(version), rollout=rollout)
    wait_until(
        lambda: requests.record(rig.bucket, PIPELINE).phase is Phase.SHADOW,
        seconds=90,
        what="the version is in its shadow",
    )
    return release


def _compared(rig: Rig) -> Compared:
    whole = Compared()
    for status in read_statuses(rig.bucket):
        for stretch in status.pipelines[PIPELINE].stretches.values():
            whole = whole.merge(stretch.compared)
    return whole


def _recorded_rows(rig: Rig) -> list[dict[str, object]]:
    lake, day = rig.s3.lake, datetime.now(UTC).date()
    found = []
    for item in lake.list(f"{DATASET}_requests/date={day}/"):
        found += pq.read_table(io.BytesIO(lake.get(item.key).body)).to_pylist()
    return found


def _read_as_the_command_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, object]]:
    folder = tmp_path / "pipelines" / PIPELINE
    folder.mkdir(parents=True)
    for name in REQUIRED_FILES:
        (folder / name).touch()
    (folder / "pipeline.yaml").write_text(DEFINITION)
    monkeypatch.setenv("NIGHTSHIFT_PIPELINES", str(tmp_path / "pipelines"))
    source, found = rows(Wanted(pipeline=PIPELINE, limit=5))
    assert source is Source.RECORDED
    return found
