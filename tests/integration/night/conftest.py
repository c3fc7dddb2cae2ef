"""A whole stack of this project's own, on free ports, with the real flights in its lake."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from nightshift.artifacts import ArtifactStore
from nightshift.artifacts.manifest import ArtifactRef
from nightshift.release.log import ReleaseLog
from nightshift.release.record import ReleaseRecord
from nightshift.runtimes import Runtime, python_of
from nightshift.stack.airflow_api import AirflowApi, DagRun, RunState
from nightshift.stack.doors import serving_client
from nightshift.stack.environment import step_environment
from nightshift.stack.settings import StackSettings, current_settings
from nightshift.storage.s3 import Bucket, artifact_bucket
from tests.integration.ports import free_range

ROOT = Path(__file__).parents[3]
PIPELINE = "flights"
STEPS = ("snapshot", "statistics", "expectations", "train", "evaluate", "gate")


@dataclass
class Stack:
    """The running stack as a test uses it."""

    settings: StackSettings
    api: AirflowApi
    environment: dict[str, str]

    @property
    def bucket(self) -> Bucket:
        return artifact_bucket()

    @property
    def store(self) -> ArtifactStore:
        return ArtifactStore(self.bucket)

    @property
    def record(self) -> ReleaseRecord:
        return ReleaseLog(self.bucket, PIPELINE).record()

    def start_night(self, night: str, **form: object) -> DagRun:
        return self.api.trigger(f"retrain_{PIPELINE}", {"night": night, **form})

    def finish(self, run: DagRun, seconds: float = 300) -> DagRun:
        """Wait for a run's end."""
        deadline = time.monotonic() + seconds
        while not run.state.ended:
            assert time.monotonic() < deadline, [str(t) for t in self.api.tasks(run)]
            time.sleep(1)
            run = self.api.run(run.dag_id, run.run_id)
        return run

    def release_of(self, run: DagRun, seconds: float = 120) -> DagRun:
        """The release that a night starts, once it does."""
        deadline = time.monotonic() + seconds
        while not (started := self.api.runs_started_by(run, f"release_{PIPELINE}")):
            assert time.monotonic() < deadline, "the night started no release"
            time.sleep(1)
        return started[0]

    def finish_release(self, run: DagRun, seconds: float = 120) -> DagRun:
        """Wait for the end of the release that a night started."""
        return self.finish(self.release_of(run, seconds), seconds)

    def green_night(self, night: str) -> DagRun:
        """A night that ends green, with its release."""
        run = self.finish(self.start_night(night))
        assert run.state is RunState.SUCCESS, self.errors(run)
        release = self.finish_release(run)
        assert release.state is RunState.SUCCESS, self.errors(release)
        return run

    def errors(self, run: DagRun) -> dict[str, object]:
        return {
            t.task_id: self.api.xcom(run, t.task_id, "error") or t.state
            for t in self.api.tasks(run)
            if t.state != "success"
        }

    def returned(self, run: DagRun, task: str) -> dict[str, Any]:
        left = self.api.xcom(run, task)
        assert isinstance(left, dict), (task, left)
        return left

    def keys(self, run: DagRun) -> dict[str, str]:
        """Key of each step's artifact."""
        return {
            step: ArtifactRef.model_validate(self.returned(run, step)["artifact"]).key
            for step in STEPS
        }

    def wait_for_process(self, *words: str, seconds: float = 120) -> psutil.Process:
        """The first process of this stack whose command line holds all the words."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for process in self.processes(*words):
                return process
            time.sleep(0.02)
        raise AssertionError(f"no process with {words}")

    def processes(self, *words: str) -> list[psutil.Process]:
        """This stack's processes whose command line holds all the words."""
        found = []
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                if all(w in line for w in words) and self._is_ours(process):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        return process.environ().get("NIGHTSHIFT_HOME") == str(self.settings.home)

    def told(self, metric: str) -> set[tuple[str, ...]]:
        """What Prometheus is told of the nights: DAG and task of each sample of a metric."""
        token = self.settings.passwords.metrics_token
        answer = self.nightshift_page("metrics", token)
        assert answer.status_code == 200, answer.text
        return {
            (sample.labels["dag_id"], sample.labels["task_id"])
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.name == metric
        }

    def nightshift_page(self, path: str, token: str = "") -> httpx.Response:
        """A page of the plugin, as somebody sees it who shows this token alone."""
        shown = {"authorization": f"Bearer {token}"} if token else {}
        address = f"http://127.0.0.1:{self.settings.ports.airflow}/nightshift/{path}"
        return httpx.get(address, headers=shown, timeout=30, trust_env=False)

    def predict(self, rows: list[dict[str, object]]) -> list[float]:
        """Ask the live model through Envoy."""
        with serving_client(self.settings) as client:
            answer = client.post(f"/v1/models/{PIPELINE}:predict", json={"instances": rows})
        assert answer.status_code == 200, answer.text
        return [
            p["probability"] if isinstance(p, dict) else p for p in answer.json()["predictions"]
        ]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # Nobody sends requests here: no step could be judged.
    at_once = {"steps": [], "bake_seconds": 0}
    with running_stack(tmp_path_factory.mktemp("stack"), at_once) as stack:
        yield stack


@contextmanager
def running_stack(home: Path, release: Mapping[str, object]) -> Iterator[Stack]:
    """A stack of its own, the flights in its lake; these fields of their release are others."""
    environment = {
        "NIGHTSHIFT_HOME": str(home),
        "NIGHTSHIFT_PORT_BASE": str(free_range(40)),
        "NIGHTSHIFT_PIPELINES": str(lenient_pipelines(home / "pipelines", release)),
        "NIGHTSHIFT_PEOPLE": "ada,grace",
    }
    kept = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        command("up")
        settings = current_settings()
        steps = step_environment(settings, Runtime.ML)
        os.environ.update({k: v for k, v in steps.items() if k.startswith(("AWS_", "NIGHTSHIFT_"))})
        subprocess.run(
            [python_of(Runtime.ML), "-m", "nightshift.data.seed", PIPELINE],
            env=steps,
            check=True,
            capture_output=True,
        )
        with AirflowApi(settings) as api:
            for dag in ("retrain", "release", "override"):
                api.wait_for_dag(f"{dag}_{PIPELINE}", 90)
                api.unpause(f"{dag}_{PIPELINE}")
            api.wait_for_dag("rollback", 30)
            api.unpause("rollback")
            yield Stack(settings, api, steps)
    finally:
        command("down")
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def lenient_pipelines(folder: Path, release: Mapping[str, object]) -> Path:
    """The shipped pipelines with gates that every night passes.

    Some real nights fail the real gate, and rightly; these tests ask what a night survives.
    """
    shutil.copytree(ROOT / "include/pipelines", folder)
    path = folder / PIPELINE / "pipeline.yaml"
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    fields["gates"] = [{"metric": "auc", "floor": 0.1}, {"metric": "auc", "margin": 0.9}]
    fields["release"] |= release
    path.write_text(yaml.safe_dump(fields), encoding="utf-8")
    return folder


def command(*arguments: str) -> str:
    """Run ``./nightshift`` as a user would."""
    done = subprocess.run(
        [ROOT / "nightshift", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout
