"""A real night from the lake to a served answer, and what happens when it is run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightshift.release.log import ReleaseLog
from nightshift.release.record import Phase
from nightshift.stack.airflow_api import DagRun, RunState
from nightshift.stack.doors import ca_certificate, demo_key
from tests.integration.night.conftest import PIPELINE, STEPS, Stack, command


@pytest.fixture(scope="module")
def night(stack: Stack) -> DagRun:
    return stack.green_night("2013-08-29")


def golden(stack: Stack) -> tuple[list[dict[str, object]], list[float], int]:
    """Rows of the live version's golden requests, with the answers of training."""
    champion = stack.record.champion
    assert champion is not None
    artifact = stack.store.open(champion.model)
    content = json.loads(stack.store.read(artifact, "golden.json"))
    columns = content["inputs"]
    count = len(next(iter(columns.values())))
    rows = [{name: values[i] for name, values in columns.items()} for i in range(count)]
    return rows, content["outputs"]["probability"], champion.version


def test_the_night_ends_live(stack: Stack, night: DagRun) -> None:
    record = stack.record
    assert record.phase is Phase.FINISHED
    assert record.champion is not None
    assert record.champion.night.isoformat() == "2013-08-29"
    assert stack.returned(night, "register")["version"] == record.champion.version


def test_the_version_has_a_card_and_a_chain_down_to_the_lake(stack: Stack, night: DagRun) -> None:
    version = stack.returned(night, "register")["version"]
    chain = json.loads(command("lineage", f"{PIPELINE}@{version}", "--json"))
    assert chain["card"]["key"] == stack.returned(night, "card")["artifact"]["key"]
    made = {link["name"] for link in chain["artifacts"]}
    assert {*STEPS} <= made
    assert len(chain["data"]["files"]) == 90
    assert all(file["version_id"] and file["sha256"] for file in chain["data"]["files"])
    assert chain["deeds"][-1]["what"] == "release finished"
    assert f"/nightshift/cards/{PIPELINE}/{version}" in command("status")


def test_openlineage_is_told_what_the_training_read_and_made(stack: Stack, night: DagRun) -> None:
    path = stack.settings.data / "openlineage.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    (train,) = [
        event
        for event in events
        if event["job"]["name"] == f"retrain_{PIPELINE}.train"
        and event["eventType"] == "COMPLETE"
        and event["run"]["facets"]["airflow"]["dagRun"]["run_id"] == night.run_id
    ]
    read = {(dataset["namespace"], dataset["name"]) for dataset in train["inputs"]}
    assert ("s3://lake", "flights/date=2013-08-29") in read
    assert len(read) == 91  # the days of the window, and the snapshot
    (made,) = train["outputs"]
    assert (made["namespace"], made["name"]) == ("s3://nightshift", "flights/artifacts/model")
    assert made["facets"]["version"]["datasetVersion"] == stack.keys(night)["train"]


def test_rest_and_grpc_answer_as_the_saved_model_does(
    stack: Stack, night: DagRun, tmp_path: Path
) -> None:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    rows, _, _ = golden(stack)
    champion = stack.record.champion
    assert champion is not None
    stack.store.fetch(stack.store.open(champion.model), tmp_path)
    model = tf.saved_model.load(str(tmp_path / "saved_model"))
    signature = model.signatures["serving_default"]
    specs = signature.structured_input_signature[1]
    inputs = {
        name: tf.constant([row[name] for row in rows], dtype=spec.dtype)
        for name, spec in specs.items()
    }
    direct = signature(**inputs)["probability"].numpy().reshape(-1).tolist()
    assert stack.predict(rows) == pytest.approx(direct, abs=1e-6)

    request = predict_pb2.PredictRequest()
    request.model_spec.name = PIPELINE
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value.numpy(), dtype=value.dtype))
    trust = grpc.ssl_channel_credentials(ca_certificate(stack.settings).read_bytes())
    key = demo_key(stack.settings)
    with grpc.secure_channel(f"127.0.0.1:{stack.settings.ports.serving_grpc}", trust) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        metadata = (("x-api-key", key), ("x-nightshift-pipeline", PIPELINE))
        answer = stub.Predict(request, timeout=30, metadata=metadata)
    values = tf.make_ndarray(answer.outputs["probability"]).reshape(-1).tolist()
    assert values == pytest.approx(direct, abs=1e-6)


def test_who_is_not_logged_in_sees_nothing_and_prometheus_sees_metrics(
    stack: Stack, night: DagRun
) -> None:
    token = stack.settings.passwords.metrics_token
    artifact = stack.returned(night, "train")["artifact"]["uri"].partition("/nightshift/")[2]
    for path in (f"releases/{PIPELINE}", f"artifacts/{artifact}", f"cards/{PIPELINE}/1"):
        assert stack.nightshift_page(path).status_code == 401, path
        assert stack.nightshift_page(path, token).status_code == 403, path
    for shown in ("", "another"):
        assert stack.nightshift_page("metrics", shown).status_code == 401
    assert stack.told("nightshift_failed_task") == set()


def test_a_cleared_run_repeats_nothing(stack: Stack, night: DagRun) -> None:
    keys, events = stack.keys(night), len(list(ReleaseLog(stack.bucket, PIPELINE).events()))
    version = stack.returned(night, "register")["version"]
    stack.api.clear(night)
    again = stack.finish(stack.api.run(night.dag_id, night.run_id))
    assert again.state is RunState.SUCCESS
    for step in STEPS:
        left = stack.returned(again, step)
        assert left["reused"] is True
        assert left["tensorflow"] is False
    assert stack.keys(again) == keys
    assert stack.returned(again, "register")["version"] == version
    assert len(list(ReleaseLog(stack.bucket, PIPELINE).events())) == events


def test_a_newer_champion_does_not_change_an_older_night(stack: Stack, night: DagRun) -> None:
    keys = stack.keys(night)
    newer = stack.green_night("2013-08-30")
    champion = stack.record.champion
    assert champion is not None
    assert champion.night.isoformat() == "2013-08-30"
    # The newer night was compared with the older one's model.
    metrics = stack.returned(newer, "evaluate")["metrics"]
    assert isinstance(metrics, dict)
    assert "champion_auc" in metrics

    stack.api.clear(night)
    again = stack.finish(stack.api.run(night.dag_id, night.run_id))
    assert again.state is RunState.SUCCESS
    assert stack.keys(again) == keys
    assert all(stack.returned(again, step)["reused"] for step in STEPS)
    assert stack.record.champion == champion


def test_rollback_goes_back_and_forbids_the_way_forward(stack: Stack, night: DagRun) -> None:
    newer = stack.finish(stack.start_night("2013-08-30"))  # reused: it names the version
    left = stack.returned(newer, "register")["version"]
    form = {"pipeline": PIPELINE, "reason": "a test"}
    back = stack.finish(stack.api.trigger("rollback", form))
    assert back.state is RunState.SUCCESS, stack.errors(back)
    # A cleared task finds what it wrote, and does not go back one further.
    stack.api.clear(back)
    again = stack.finish(stack.api.run(back.dag_id, back.run_id))
    assert again.state is RunState.SUCCESS, stack.errors(again)
    record = stack.record
    assert record.champion is not None
    assert record.champion.version == stack.returned(night, "register")["version"]
    assert left in record.rejected
    rows, answers, _ = golden(stack)
    assert stack.predict(rows) == pytest.approx(answers, abs=1e-5)
