"""The connection to the Ray cluster that training may run on."""

from __future__ import annotations

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from nightshift.training.ray_address import ADDRESS, DEFAULT_PORT, configured_address

RAY_CONNECTION = "nightshift_ray"


class RayClusterHook(BaseHook):
    """A Ray cluster by an ``http`` connection: host and port of its dashboard, which takes jobs.

    The password is the cluster's token (``RAY_AUTH_TOKEN``), where it asks for one. The cluster's
    nodes reach S3 with credentials of their own: Ray writes what it is given to its logs.
    """

    def __init__(self, conn_id: str = RAY_CONNECTION) -> None:
        super().__init__()
        self.conn_id = conn_id

    def environment(self) -> dict[str, str]:
        """Environment variables by which a step finds the cluster.

        Raises:
            BadDefinitionError: There is no such connection.
        """
        try:
            connection = self.get_connection(self.conn_id)
        except AirflowNotFoundException:
            configured_address({})
            raise
        host = connection.host or "127.0.0.1"
        scheme = "" if "://" in host else f"{connection.schema or 'http'}://"
        found = {ADDRESS: f"{scheme}{host}:{connection.port or DEFAULT_PORT}"}
        if connection.password:
            found |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": connection.password}
        return found
