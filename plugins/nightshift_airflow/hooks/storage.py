"""The S3 connection: credentials for this process and for the steps that it starts."""

from __future__ import annotations

import os

from airflow.sdk import BaseHook

from nightshift.artifacts.store import ArtifactStore
from nightshift.storage.s3 import Bucket, artifact_bucket

S3_CONNECTION = "nightshift_s3"
STEPS = "_steps"
"""Added to a connection's name: the connection whose keys steps get, where there is one."""
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class StorageHook(BaseHook):
    """S3 by the amazon provider's connection type (keys, session token, region, endpoint).

    Args:
        conn_id: An ``aws`` connection. Without keys in it, boto3's own chain applies
            (instance profile, web identity).
    """

    def __init__(self, conn_id: str = S3_CONNECTION) -> None:
        super().__init__()
        self.conn_id = conn_id

    def environment(self) -> dict[str, str]:
        """Environment variables by which boto3 finds endpoint and credentials.

        The one way that credentials reach a step: never a request file, a log or XCom.
        """
        import logging

        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        # Where the keys came from is of no use in a task's log, and is printed for every client.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        settings = S3Hook(aws_conn_id=self.conn_id).conn_config
        found = {
            "AWS_ACCESS_KEY_ID": settings.aws_access_key_id,
            "AWS_SECRET_ACCESS_KEY": settings.aws_secret_access_key,
            "AWS_SESSION_TOKEN": settings.aws_session_token,
            "AWS_DEFAULT_REGION": settings.region_name or "us-east-1",
            "AWS_ENDPOINT_URL_S3": settings.get_service_endpoint_url("s3"),
        }
        return {name: value for name, value in found.items() if value}

    def environment_of_steps(self) -> dict[str, str]:
        """The same for the processes that it starts: their own keys, where they have any.

        A step reads the lake and writes artifacts; the operator writes versions and the log. Each
        has its own connection, so that neither can do the other's work.
        """
        from airflow.sdk.exceptions import AirflowNotFoundException

        own = StorageHook(f"{self.conn_id}{STEPS}")
        try:
            self.get_connection(own.conn_id)
        except AirflowNotFoundException:
            return self.environment()
        # What its connection does not say must not be inherited from this process.
        return {**dict.fromkeys(_CREDENTIALS, ""), **own.environment()}

    def bucket(self) -> Bucket:
        """The artifact bucket, with this connection's credentials in this process."""
        os.environ.update(self.environment())
        return artifact_bucket()

    def get_conn(self) -> ArtifactStore:
        """The artifact store."""
        return ArtifactStore(self.bucket())
