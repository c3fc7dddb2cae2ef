"""Kill anything in the middle of a night: the night ends green, once, with nothing doubled."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from nightshift.release.log import ReleaseLog
from nightshift.release.record import Phase
from nightshift.stack.airflow_api import DagRun, RunState
from tests.integration.night.conftest import PIPELINE, STEPS, Stack

STEP = "nightshift.steps.run"


@contextmanager
def no_two_attempts_side_by_side(stack: Stack) -> Iterator[list[str]]:
    """Watch the step processes; collects every moment at which a step ran twice at once."""
    doubled: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            leaders = []
            for process in psutil.process_iter():
                try:
                    line = process.cmdline()
                    # A step leads a group of its own; what it forks for a moment looks the same
                    # but is in that group.
                    if STEP not in line or os.getpgid(process.pid) != process.pid:
                        continue
                    if process.environ().get("NIGHTSHIFT_HOME") == str(stack.settings.home):
                        leaders.append((process.pid, line[-2]))
                except (psutil.Error, ProcessLookupError):
                    continue
            steps = [step_of(path) for _, path in leaders]
            doubled.extend(s for s in set(steps) if s and steps.count(s) > 1)

    def step_of(path: str) -> str:
        import json

        try:
            with open(path, encoding="utf-8") as file:
                return str(json.load(file)["step"])
        except (OSError, ValueError):
            return ""

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield doubled
    finally:
        done.set()
        thread.join()


def until(
    stack: Stack, run: DagRun, reached: Callable[[], bool], what: str, seconds: float = 400
) -> DagRun:
    """Wait for something in the middle of a night, clearing what failed as on-call would."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, (what, [str(t) for t in stack.api.tasks(run)])
        run = stack.api.run(run.dag_id, run.run_id)
        if run.state is RunState.FAILED:
            stack.api.clear(run, only_failed=True)
        time.sleep(0.3)
    return run


def task_under_way(stack: Stack, run: DagRun, task: str, seconds: float = 300) -> None:
    """Wait for a task of a night that nothing has happened to yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        states = {t.task_id: t.state for t in stack.api.tasks(run)}
        if states[task] == "running":
            return
        assert states[task] in (None, "scheduled", "queued"), states
        time.sleep(0.3)
    raise AssertionError(f"{task} did not start")


def attempt_under_way(stack: Stack, run: DagRun, task: str, attempt: int) -> DagRun:
    """Wait for a task of a night in which something was killed."""

    def runs() -> bool:
        (found,) = [t for t in stack.api.tasks(run) if t.task_id == task]
        return found.state == "running" and found.attempt >= attempt

    return until(stack, run, runs, f"attempt {attempt} of {task}")


def ends_green_once(stack: Stack, run: DagRun) -> None:
    run = stack.finish(run, 400)
    if run.state is RunState.FAILED:  # on-call clears what failed
        stack.api.clear(run, only_failed=True)
        run = stack.finish(stack.api.run(run.dag_id, run.run_id), 400)
    assert run.state is RunState.SUCCESS, stack.errors(run)
    release = stack.finish_release(run, 240)
    assert release.state is RunState.SUCCESS, stack.errors(release)
    assert stack.record.phase is Phase.FINISHED
    version = stack.returned(run, "register")["version"]
    assert stack.record.champion is not None
    assert stack.record.champion.version == version
    asked = [
        e.record.request.candidate.version
        for e in ReleaseLog(stack.bucket, PIPELINE).events()
        if e.record.phase is Phase.REQUESTED and e.record.request
    ]
    assert asked.count(version) == 1
    assert_one_story(stack, run)
    assert_same_keys_undisturbed(stack, run)


def assert_same_keys_undisturbed(stack: Stack, run: DagRun) -> None:
    """The same night again with nobody killed: it finds every artifact under the same key."""
    again = stack.finish(stack.start_night(run.conf["night"]))
    assert again.state is RunState.SUCCESS, stack.errors(again)
    assert stack.keys(again) == stack.keys(run)
    assert all(stack.returned(again, step)["reused"] for step in STEPS)


def assert_one_story(stack: Stack, run: DagRun) -> None:
    from mlflow import MlflowClient

    address = f"http://127.0.0.1:{stack.settings.ports.mlflow}"
    client = MlflowClient(address, address)
    experiment = client.get_experiment_by_name(PIPELINE)
    assert experiment
    night = run.conf["night"]
    runs = client.search_runs([experiment.experiment_id], f"tags.`nightshift.night` = '{night}'")
    assert len(runs) == 1
    versions = client.search_model_versions(f"name='{PIPELINE}'")
    assert len([v for v in versions if v.tags["nightshift.night"] == night]) == 1


def kill_worker(stack: Stack) -> None:
    """Airflow's own process around the step that runs."""
    step = stack.wait_for_process(STEP)
    runner = step.parent()
    assert runner is not None
    worker = runner.parent()
    assert worker is not None
    worker.kill()
    # The step dies with its worker, long before Airflow notices.
    assert psutil.wait_procs([step, runner], timeout=15)[1] == []


def test_a_night_survives_the_death_of_its_step_of_the_object_store_and_of_mlflow(
    stack: Stack,
) -> None:
    with no_two_attempts_side_by_side(stack) as doubled:
        run = stack.start_night("2013-09-01")
        task_under_way(stack, run, "train")
        stack.wait_for_process(STEP).kill()
        attempt_under_way(stack, run, "train", 2)
        stack.wait_for_process("weed", "mini").kill()
        run = attempt_under_way(stack, run, "evaluate", 1)
        stack.wait_for_process("mlflow", "server").kill()
        ends_green_once(stack, run)
    assert doubled == []


def test_a_night_survives_the_death_of_the_airflow_worker_and_its_release_that_of_the_agent(
    stack: Stack,
) -> None:
    with no_two_attempts_side_by_side(stack) as doubled:
        run = stack.start_night("2013-09-04")
        task_under_way(stack, run, "train")
        kill_worker(stack)
        # Watched from here: where the night's last tasks take long its release is over before it.
        run = until(stack, run, lambda: stack.record.phase.under_way, "a release under way")
        stack.wait_for_process("nightshift.release.agent").kill()
        ends_green_once(stack, run)
    assert doubled == []
