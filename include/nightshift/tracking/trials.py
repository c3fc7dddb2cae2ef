"""Each trial of a search as an MLflow run below the night's, once.

Its id is pinned in S3 under study and number before anything is logged, as the night's own run is:
whoever tells MLflow again goes on with the pinned run, and a run that lost the pin is deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nightshift.storage.s3 import AbsentError, Bucket

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

TRIAL_TAG = "nightshift.trial"
_STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "fail": "FAILED"}


def log_trials(
    bucket: Bucket, client: MlflowClient, night: Run, prefix: str, facts: dict[str, Any]
) -> None:
    """Tell MLflow of all trials of a search.

    Args:
        bucket: Where pins lie.
        client: MLflow.
        night: The night's run.
        prefix: Of the night's pins.
        facts: Of the tune step: ``study``, ``best_trial`` (its number) and ``trials``, each a
            :class:`nightshift.tuning.result.TrialResult` as JSON.
    """
    runs = _TrialRuns(bucket, client, night, f"{prefix}/trials/{facts['study']}", facts["study"])
    made = runs.made()
    for trial in facts["trials"]:
        run_id = runs.pinned(trial, made)
        _log(client, run_id, trial, best=trial["number"] == facts["best_trial"])


@dataclass(frozen=True)
class _TrialRuns:
    bucket: Bucket
    client: MlflowClient
    night: Run
    prefix: str
    study: str

    def made(self) -> dict[str, str]:
        """Runs of this study that are there, by identity: also what a killed task did not pin."""
        found = self.client.search_runs(
            [self.night.info.experiment_id],
            filter_string=f"tags.`{TRIAL_TAG}` LIKE '{self.study}/%'",
            max_results=1000,
        )
        return {run.data.tags[TRIAL_TAG]: run.info.run_id for run in found}

    def pinned(self, trial: dict[str, Any], made: dict[str, str]) -> str:
        """The trial's run: pinned, adopted or created."""
        key = f"{self.prefix}/{trial['number']}"
        try:
            return self.bucket.get(key).body.decode()
        except AbsentError:
            pass
        mine = made.get(f"{self.study}/{trial['number']}") or self._create(trial)
        self.bucket.create(key, mine.encode(), content_type="text/plain")
        pinned = self.bucket.get(key).body.decode()
        if pinned != mine:
            self.client.delete_run(mine)
        return pinned

    def _create(self, trial: dict[str, Any]) -> str:
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        run = self.client.create_run(
            self.night.info.experiment_id,
            start_time=_milliseconds(trial["began"]),
            run_name=f"trial {trial['number']}",
            tags={
                MLFLOW_PARENT_RUN_ID: self.night.info.run_id,
                TRIAL_TAG: f"{self.study}/{trial['number']}",
            },
        )
        return run.info.run_id


def _log(client: MlflowClient, run_id: str, trial: dict[str, Any], *, best: bool) -> None:
    from mlflow.entities import Metric, Param, RunTag

    ended = _milliseconds(trial["ended"])
    tags = {"state": trial["state"], "reason": trial["reason"]}
    tags |= {"best": "yes"} if best else {}
    tags |= {"unchanged": "yes"} if trial["unchanged"] else {}
    client.log_batch(
        run_id,
        metrics=[
            Metric("validation_loss", loss, ended, epoch)
            for epoch, loss in enumerate(trial["losses"], start=1)
        ],
        params=[Param(name, str(value)) for name, value in trial["parameters"].items()],
        tags=[RunTag(f"{TRIAL_TAG}.{k}", str(v)) for k, v in tags.items() if v],
    )
    client.set_terminated(run_id, status=_STATUS.get(trial["state"], "FAILED"), end_time=ended)


def _milliseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)
