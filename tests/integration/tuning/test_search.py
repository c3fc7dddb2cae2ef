"""A search killed in the middle ends with all its trials, the best of which train the model."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from nightshift.command.tensorboard import Recordings
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.tracking.runs import RunTracker
from tests.integration.servers import wait_until
from tests.integration.tuning.conftest import KILLED_AFTER, TRIALS, Searched


@pytest.fixture(scope="module")
def train(searched: Searched) -> tuple[StepRequest, StepResult]:
    assert searched.result.artifact is not None
    inputs = {"snapshot": searched.snapshot, "tune": searched.result.artifact}
    request = searched.night.request("train", inputs, searched.definition)
    result = searched.night.run("train", inputs, searched.definition)
    assert result.error is None, result.error
    return request, result


def test_a_killed_search_leaves_no_process(searched: Searched) -> None:
    assert len(searched.killed) >= 2  # the search and a trial at least

    def state(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return "gone"

    wait_until(
        lambda: all(state(pid) in ("gone", "Z", "X") for pid in searched.killed),
        seconds=5,
        what="every process of the killed search has ended",
    )


def test_the_resumed_search_ends_with_the_trials_that_were_asked_for(searched: Searched) -> None:
    states = Counter(trial["state"] for trial in searched.result.facts["trials"])
    assert states["complete"] + states["pruned"] == TRIALS
    assert searched.result.metrics["trials"] == TRIALS
    # Between a trial's last line and the kill another one may have ended.
    taken_over = searched.result.metrics["trials_from_earlier_attempts"]
    assert KILLED_AFTER <= taken_over < TRIALS
    assert any(line.startswith("Resumed: ") for line in searched.lines)


def test_what_was_cut_off_is_marked_as_failed(searched: Searched) -> None:
    failed = [t for t in searched.result.facts["trials"] if t["state"] == "fail"]
    assert 1 <= len(failed) <= 2


def test_the_pipelines_own_parameters_are_measured_first_and_the_best_is_no_worse(
    searched: Searched,
) -> None:
    first = searched.result.facts["trials"][0]
    assert first["unchanged"]
    assert first["parameters"] == {"learning_rate": 0.01, "scale": 1.0}
    metrics = searched.result.metrics
    assert metrics["tuned_validation_loss"] <= metrics["untuned_validation_loss"]


def test_the_artifact_has_the_best_parameters_all_trials_and_a_report(
    searched: Searched, tmp_path: Path
) -> None:
    folder = searched.night.fetch(searched.result.artifact, tmp_path)
    best = json.loads((folder / "best.json").read_text())
    trials = json.loads((folder / "trials.json").read_text())
    losses = {t["number"]: t["losses"][-1] for t in trials if t["state"] == "complete"}
    (winner,) = [n for n, loss in losses.items() if loss == min(losses.values())]
    assert best == next(t["parameters"] for t in trials if t["number"] == winner)
    assert "Trials over time" in (folder / "report.html").read_text()


def test_training_uses_the_best_parameters_and_its_key_says_so(
    searched: Searched, train: tuple[StepRequest, StepResult]
) -> None:
    request, result = train
    plain = searched.night.request("train", {"snapshot": searched.snapshot}, searched.definition)
    assert request.key != plain.key
    assert result.facts["tuned"] == searched.result.facts["best"]
    rate = result.facts["epochs_seen"][0]["learning_rate"]
    assert rate == pytest.approx(searched.result.facts["best"]["learning_rate"], rel=1e-5)


def test_what_training_recorded_can_be_fetched(
    searched: Searched, train: tuple[StepRequest, StepResult], tmp_path: Path
) -> None:
    recordings = Recordings(searched.night.s3.artifacts, "small", (), tmp_path)
    assert recordings.fetch() >= 3
    (folder,) = tmp_path.glob(f"*/{train[0].key[:8]}")
    assert list(folder.glob("events.out.tfevents.*"))
    assert list(folder.glob("plugins/profile/*/*.xplane.pb"))


def test_each_trial_is_one_run_below_the_nights_however_often_it_is_told(
    searched: Searched, train: tuple[StepRequest, StepResult], mlflow_server: str
) -> None:
    bucket = searched.night.s3.artifacts
    tracker = RunTracker(bucket, mlflow_server, "small")
    for _ in range(2):
        tracker.log_step(searched.request, searched.result)
        # As if the task had been killed before it could say that it told everything.
        for key in [o.key for o in bucket.list("small/runs/") if "/logged/" in o.key]:
            bucket.delete(key)
    night = tracker.ensure(searched.request.night)
    client = tracker.client()
    below = client.search_runs(
        [night.experiment_id], f"tags.`mlflow.parentRunId` = '{night.run_id}'"
    )
    assert len(below) == len(searched.result.facts["trials"])
    assert Counter(r.info.status for r in below)["FINISHED"] == TRIALS
    (best,) = [r for r in below if r.data.tags.get("nightshift.trial.best")]
    told = searched.result.metrics["tuned_validation_loss"]
    assert best.data.metrics["validation_loss"] == pytest.approx(told)


def test_mlflow_gets_what_the_machine_gave_and_what_tensorboard_shows(
    train: tuple[StepRequest, StepResult], searched: Searched, mlflow_server: str
) -> None:
    tracker = RunTracker(searched.night.s3.artifacts, mlflow_server, "small")
    tracker.log_step(*train)
    run = tracker.client().get_run(tracker.ensure(train[0].night).run_id)
    names = set(run.data.metrics)
    assert {"system/cpu_utilization_percentage", "system/step_memory_usage_megabytes"} <= names
    assert {"train/loss", "train/learning_rate", "train/gradient_norm"} <= names
    assert run.data.params["tuned.scale"] == str(train[1].facts["tuned"]["scale"])
