"""One MLflow run per night and one version per artifact, under kills and races."""

from __future__ import annotations

import itertools
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from mlflow import MlflowClient

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.errors import UnavailableError
from nightshift.release.candidate import Candidate
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.tracking.registry import Registry
from nightshift.tracking.runs import RunTracker
from tests.integration.ports import free_port
from tests.integration.servers import S3

NIGHT = date(2013, 8, 31)
_numbers = itertools.count(1)


@pytest.fixture
def pipeline() -> str:
    return f"toy_{next(_numbers)}_{uuid.uuid4().hex[:6]}"


@pytest.fixture
def tracker(s3: S3, mlflow_server: str, pipeline: str) -> RunTracker:
    return RunTracker(s3.artifacts, mlflow_server, pipeline)


def ref(kind: str = "model", key: str = "a" * 32) -> ArtifactRef:
    return ArtifactRef(kind=kind, key=key, uri=f"s3://b/p/artifacts/{kind}/{key}", digest="d" * 64)


def draft(tracker: RunTracker, key: str = "a" * 32) -> Candidate:
    run = tracker.ensure(NIGHT)
    return Candidate(version=0, night=NIGHT, model=ref(key=key), run_id=run.run_id)


def runs(tracker: RunTracker) -> list[str]:
    client = tracker.client()
    experiment = client.get_experiment_by_name(tracker.pipeline)
    assert experiment
    return [r.info.run_id for r in client.search_runs([experiment.experiment_id])]


def versions(client: MlflowClient, pipeline: str) -> list[int]:
    return sorted(int(v.version) for v in client.search_model_versions(f"name='{pipeline}'"))


def test_the_same_night_resumes_its_run(tracker: RunTracker) -> None:
    assert tracker.ensure(NIGHT) == tracker.ensure(NIGHT)
    assert len(runs(tracker)) == 1


def test_racing_tasks_end_with_one_run(tracker: RunTracker) -> None:
    with ThreadPoolExecutor(6) as pool:
        pins = list(pool.map(lambda _: tracker.ensure(NIGHT), range(6)))
    assert len({pin.run_id for pin in pins}) == 1
    # Whoever lost the race has deleted its own run, or the next to look does.
    tracker.bucket.delete(f"{tracker.pipeline}/runs/{NIGHT}/mlflow.json")
    assert runs(tracker) == [tracker.ensure(NIGHT).run_id]


def test_a_run_made_by_a_killed_task_is_adopted(tracker: RunTracker) -> None:
    first = tracker.ensure(NIGHT)
    # Killed between creating the run and pinning it: the run is there, the pin is not.
    tracker.bucket.delete(f"{tracker.pipeline}/runs/{NIGHT}/mlflow.json")
    assert tracker.ensure(NIGHT) == first
    assert len(runs(tracker)) == 1


def test_a_step_is_told_once(tracker: RunTracker, tmp_path_factory: pytest.TempPathFactory) -> None:
    request = StepRequest(
        step="train",
        pipeline=tracker.pipeline,
        night=NIGHT,
        key="a" * 32,
        attempt="x",
        parameters={"training": {"epochs": 2}},
        folder=tmp_path_factory.mktemp("toy"),
        by="me",
    )
    epochs = [{"number": 1, "loss": 0.6}, {"number": 2, "loss": 0.5}]
    result = StepResult(artifact=ref(), metrics={"auc": 0.7}, facts={"epochs": epochs})
    tracker.log_step(request, result)
    tracker.log_step(request, result)
    client = tracker.client()
    (run,) = runs(tracker)
    assert [m.value for m in client.get_metric_history(run, "train/loss")] == [0.6, 0.5]
    assert len(client.get_metric_history(run, "auc")) == 1
    data = client.get_run(run).data
    assert data.params["training.epochs"] == "2"
    assert data.tags["nightshift.train.artifact"] == ref().uri


def test_an_artifact_gets_one_version_however_often_it_is_registered(tracker: RunTracker) -> None:
    registry = Registry(tracker.bucket, tracker.pipeline)
    first = registry.register(draft(tracker), tracker)
    assert registry.register(draft(tracker), tracker) == first
    assert registry.version(first.version) == first
    assert versions(tracker.client(), tracker.pipeline) == [first.version]


def test_another_artifact_gets_another_version(tracker: RunTracker) -> None:
    registry = Registry(tracker.bucket, tracker.pipeline)
    first = registry.register(draft(tracker), tracker)
    second = registry.register(draft(tracker, key="b" * 32), tracker)
    assert second.version > first.version


def test_a_version_made_by_a_killed_task_is_adopted(tracker: RunTracker) -> None:
    registry = Registry(tracker.bucket, tracker.pipeline)
    first = registry.register(draft(tracker), tracker)
    tracker.bucket.delete(f"{tracker.pipeline}/versions/by-model/{'a' * 32}.json")
    assert registry.register(draft(tracker), tracker).version == first.version
    assert versions(tracker.client(), tracker.pipeline) == [first.version]


def test_racing_registrations_end_with_one_version(tracker: RunTracker) -> None:
    registry = Registry(tracker.bucket, tracker.pipeline)
    tracker.ensure(NIGHT)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: registry.register(draft(tracker), tracker), range(4)))
    assert len({candidate.version for candidate in made}) == 1


def test_mlflow_away_is_retryable_and_names_the_server(s3: S3, pipeline: str) -> None:
    server = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UnavailableError, match=server):
        RunTracker(s3.artifacts, server, pipeline).ensure(NIGHT)


def test_the_first_card_of_a_version_stays_and_mlflow_has_it_once(tracker: RunTracker) -> None:
    registry = Registry(tracker.bucket, tracker.pipeline)
    version = registry.register(draft(tracker), tracker).version
    assert registry.card(version) is None
    first, second = ref("card", "1" * 32), ref("card", "2" * 32)
    assert registry.pin_card(version, first) == first
    assert registry.pin_card(version, second) == first
    assert registry.card(version) == first

    files = {"model_card.html": "<p>toy</p>", "model_card.json": "{}"}
    registry.show_card(version, first, files, tracker)
    client, (run,) = tracker.client(), runs(tracker)
    folder = f"model_card/version_{version}"
    names = {found.path for found in client.list_artifacts(run, folder)}
    assert names == {f"{folder}/{name}" for name in files}
    tags = client.get_model_version(tracker.pipeline, str(version)).tags
    assert tags["nightshift.card"] == first.uri
    # Asked again it asks MLflow nothing: another tag would stay as it is.
    client.set_model_version_tag(tracker.pipeline, str(version), "nightshift.card", "kept")
    registry.show_card(version, first, files, tracker)
    tags = client.get_model_version(tracker.pipeline, str(version)).tags
    assert tags["nightshift.card"] == "kept"
