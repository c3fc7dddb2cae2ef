"""Where the Ray cluster is: from an Airflow connection to the environment of a step."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nightshift.errors import BadDefinitionError

ADDRESS = "NIGHTSHIFT_RAY_ADDRESS"
"""Where the cluster takes jobs (its dashboard), such as ``http://ray-head:8265``.

A cluster that asks for a token finds it in Ray's own ``RAY_AUTH_MODE`` and ``RAY_AUTH_TOKEN``.
"""
DEFAULT_PORT = 8265


def configured_address(environment: Mapping[str, str] = os.environ) -> str:
    """The cluster's address.

    Raises:
        BadDefinitionError: Nobody said where the cluster is.
    """
    address = environment.get(ADDRESS)
    if not address:
        raise BadDefinitionError(
            "pipeline.yaml, training.cluster: 'ray' needs to know where the cluster is. Make the "
            "Airflow connection 'nightshift_ray' (type http: host and port of the cluster's "
            "dashboard, its token as password), set it for a step that is run by hand as "
            f"{ADDRESS}, or choose cluster 'local'.",
            file="pipeline.yaml",
            field="training.cluster",
        )
    return address
