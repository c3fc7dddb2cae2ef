"""What Airflow loads: registers Nightshift's routes and links."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin


def _apps() -> list[dict[str, Any]]:
    from nightshift_airflow.routes.addresses import PREFIX
    from nightshift_airflow.routes.app import nightshift_app

    return [{"app": nightshift_app(), "url_prefix": PREFIX, "name": "Nightshift"}]


def _links() -> list[Any]:
    from nightshift_airflow.links.artifacts import RELEASE_LINKS, TRAIN_LINKS

    return [*TRAIN_LINKS, *RELEASE_LINKS]


class NightshiftPlugin(AirflowPlugin):
    """Reports behind Airflow's own login, and the buttons that lead to them."""

    name = "nightshift"
    fastapi_apps = _apps()
    operator_extra_links = _links()
