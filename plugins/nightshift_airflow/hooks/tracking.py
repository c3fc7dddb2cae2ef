"""The MLflow connection."""

from __future__ import annotations

from airflow.sdk import BaseHook

from nightshift.storage.s3 import Bucket
from nightshift.tracking.registry import Registry
from nightshift.tracking.runs import RunPin, RunTracker

MLFLOW_CONNECTION = "nightshift_mlflow"


class MlflowHook(BaseHook):
    """MLflow by an ``http`` connection: host with scheme, port; login and password if it asks.

    The extra field ``ui_url`` is the address that people's browsers reach, where it differs.
    """

    def __init__(self, conn_id: str = MLFLOW_CONNECTION) -> None:
        super().__init__()
        self.conn_id = conn_id

    def tracker(self, pipeline: str, bucket: Bucket) -> RunTracker:
        """The pipeline's runs. Reads the connection now, talks to MLflow later."""
        import os

        connection = self.get_connection(self.conn_id)
        if connection.login:
            os.environ["MLFLOW_TRACKING_USERNAME"] = connection.login
        if connection.password:
            os.environ["MLFLOW_TRACKING_PASSWORD"] = connection.password
        return RunTracker(bucket, self._server(), pipeline)

    def registry(self, pipeline: str, bucket: Bucket) -> Registry:
        """The pipeline's registered versions."""
        return Registry(bucket, pipeline)

    def run_url(self, pin: RunPin) -> str:
        """The run's page for a browser."""
        address = self.get_connection(self.conn_id).extra_dejson.get("ui_url") or self._server()
        return f"{address}/#/experiments/{pin.experiment_id}/runs/{pin.run_id}"

    def _server(self) -> str:
        connection = self.get_connection(self.conn_id)
        host = connection.host or "127.0.0.1"
        scheme = "" if "://" in host else f"{connection.schema or 'http'}://"
        port = f":{connection.port}" if connection.port else ""
        return f"{scheme}{host}{port}"
