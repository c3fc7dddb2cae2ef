"""One MLflow run per (pipeline, night), however often and wherever the night is run again.

The run's id is pinned in S3 by a conditional write. MLflow itself has no such write: searching by
tag and then creating would race, and a creator killed before it pinned the id would leave an
orphan. So whoever finds no pin adopts an orphan or creates a run, pins it, and whoever lost the
pin deletes what it made.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from nightshift.errors import UnavailableError
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.storage.s3 import AbsentError, Bucket
from nightshift.tracking.trials import log_trials

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RUN_TAG = "nightshift.run"
_BATCH = 900
"""MLflow takes at most 1,000 metrics, parameters and tags in one request."""


class RunPin(BaseModel, frozen=True):
    """Which MLflow run tells the story of a night."""

    run_id: str
    experiment_id: str


@contextmanager
def mlflow_errors(server: str) -> Iterator[None]:
    """Turn "MLflow is away" into a retryable error that names the server."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    try:
        yield
    except (MlflowException, RequestException) as error:
        raise UnavailableError(
            f"MLflow at {server} does not answer as it should: {error}. "
            "It is retried; what the step made is kept."
        ) from error


@dataclass(frozen=True)
class RunTracker:
    """The runs of one pipeline.

    Args:
        bucket: The artifact bucket, where pins live.
        server: MLflow's tracking address.
        pipeline: The pipeline's name, also the experiment's.
    """

    bucket: Bucket
    server: str
    pipeline: str

    def client(self) -> MlflowClient:
        """A client that gives up within seconds: Airflow waits between tries, not a worker."""
        import os

        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        # Two lines for each run that ends: a search ends dozens.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.server, registry_uri=self.server)

    def find(self, night: date) -> RunPin | None:
        """The night's pinned run, without asking MLflow."""
        try:
            return RunPin.model_validate_json(self.bucket.get(self._pin_key(night)).body)
        except AbsentError:
            return None

    def ensure(self, night: date) -> RunPin:
        """The night's run: pinned, adopted or created (raises UnavailableError)."""
        pinned = self.find(night)
        if pinned:
            return pinned
        with mlflow_errors(self.server):
            return self._pin_new(self.client(), night)

    def log_step(self, request: StepRequest, result: StepResult) -> None:
        """Log a step's parameters, metrics and reports once; again is a no-op without MLflow."""
        assert result.artifact is not None
        mark = f"{self._prefix(request.night)}/logged/{request.step}-{result.artifact.key}"
        if self.bucket.exists(mark):
            return
        run_id = self.ensure(request.night).run_id
        with mlflow_errors(self.server):
            client = self.client()
            run = client.get_run(run_id)
            self._log(client, run, request, result)
            if result.facts.get("trials"):
                log_trials(self.bucket, client, run, self._prefix(request.night), result.facts)
        self.bucket.put(mark, b"")

    def log_failure(self, night: date, step: str, message: str) -> None:
        """Record on the night's run which step stopped it and why."""
        run_id = self.ensure(night).run_id
        with mlflow_errors(self.server):
            client = self.client()
            client.set_tag(run_id, "nightshift.error", f"{step}: {message}"[:4900])
            client.set_terminated(run_id, status="FAILED")

    def tag(self, night: date, tags: Mapping[str, str]) -> None:
        """Set tags on the night's run."""
        run_id = self.ensure(night).run_id
        with mlflow_errors(self.server):
            for name, value in tags.items():
                self.client().set_tag(run_id, name, value)

    def finish(self, night: date) -> None:
        """Mark the night's run as finished."""
        run_id = self.ensure(night).run_id
        with mlflow_errors(self.server):
            client = self.client()
            if "nightshift.error" in client.get_run(run_id).data.tags:
                client.delete_tag(run_id, "nightshift.error")
            client.set_terminated(run_id, status="FINISHED")

    def _pin_new(self, client: MlflowClient, night: date) -> RunPin:
        experiment_id = self._experiment(client)
        orphans = self._runs_of(client, experiment_id, night)
        run = orphans[0] if orphans else self._create(client, experiment_id, night)
        mine = RunPin(run_id=run.info.run_id, experiment_id=experiment_id)
        self.bucket.create(self._pin_key(night), mine.model_dump_json().encode())
        pinned = self.find(night)
        assert pinned is not None
        for other in self._runs_of(client, experiment_id, night):
            if other.info.run_id != pinned.run_id:
                client.delete_run(other.info.run_id)
        return pinned

    def _create(self, client: MlflowClient, experiment_id: str, night: date) -> Run:
        tags = {RUN_TAG: self._identity(night), "nightshift.night": night.isoformat()}
        return client.create_run(
            experiment_id, run_name=f"{self.pipeline} {night.isoformat()}", tags=tags
        )

    def _runs_of(self, client: MlflowClient, experiment_id: str, night: date) -> list[Run]:
        found = client.search_runs(
            [experiment_id], filter_string=f"tags.`{RUN_TAG}` = '{self._identity(night)}'"
        )
        return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def _experiment(self, client: MlflowClient) -> str:
        from mlflow.exceptions import MlflowException

        known = client.get_experiment_by_name(self.pipeline)
        if known:
            return known.experiment_id
        try:
            return client.create_experiment(self.pipeline)
        except MlflowException:  # somebody was faster
            known = client.get_experiment_by_name(self.pipeline)
            if known is None:
                raise
            return known.experiment_id

    def _log(
        self, client: MlflowClient, run: Run, request: StepRequest, result: StepResult
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        metrics = [Metric(_name(f"{k}"), v, now, 0) for k, v in result.metrics.items()]
        for row in result.facts.get("epochs", ()):
            step = int(row["number"])
            metrics += [
                Metric(_name(f"train/{k}"), float(v), now, step)
                for k, v in row.items()
                if k != "number" and v is not None
            ]
        for row in result.facts.get("epochs_seen", ()):
            step = int(row["number"])
            metrics += [
                Metric(f"train/{k}", float(v), now, step) for k, v in row.items() if k != "number"
            ]
        for number, sample in enumerate(result.facts.get("system", ())):
            # The prefix is what MLflow's page of system metrics shows.
            metrics += [
                Metric(f"system/{k}", float(v), int(sample["at"]), number)
                for k, v in sample.items()
                if k != "at"
            ]
        assert result.artifact is not None
        tags = {
            f"nightshift.{request.step}.artifact": result.artifact.uri,
            f"nightshift.{request.step}.by": request.by,
            **{f"nightshift.report.{_name(k)}": v for k, v in result.reports.items()},
            **{_name(k): str(v)[:4900] for k, v in result.facts.get("tags", {}).items()},
        }
        known = run.data.params
        params = {
            _name(f"{section}.{name}"): str(value)[:500]
            for section, name, value in _flat(request.parameters)
        }
        tuned = result.facts.get("tuned") or {}
        params |= {_name(f"tuned.{name}"): str(value)[:500] for name, value in tuned.items()}
        changed = {k: v for k, v in params.items() if k in known and known[k] != v}
        # MLflow parameters are written once; a forced night with other parameters says so in tags.
        tags |= {f"nightshift.changed.{k}": v for k, v in changed.items()}
        new = [Param(k, v) for k, v in params.items() if k not in known]
        for start in range(0, max(len(metrics), 1), _BATCH):
            client.log_batch(run.info.run_id, metrics=metrics[start : start + _BATCH])
        client.log_batch(
            run.info.run_id, params=new[:100], tags=[RunTag(k, str(v)) for k, v in tags.items()]
        )

    def _identity(self, night: date) -> str:
        return f"{self.pipeline}/{night.isoformat()}"

    def _prefix(self, night: date) -> str:
        return f"{self.pipeline}/runs/{night.isoformat()}"

    def _pin_key(self, night: date) -> str:
        return f"{self._prefix(night)}/mlflow.json"


def _name(text: str) -> str:
    """A name that MLflow takes: letters, digits, and _ - . space and /."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in text)


def _flat(parameters: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for section, content in parameters.items():
        if isinstance(content, dict):
            yield from ((section, name, value) for name, value in content.items())
        else:
            yield section, "all", content
