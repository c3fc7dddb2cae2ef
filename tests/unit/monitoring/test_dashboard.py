"""The dashboard asks for what there is; that its queries return data is an integration test."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from nightshift.release.agent_metrics import Seen, families

MONITORING = Path(__file__).parents[3] / "include/monitoring"
DASHBOARD = json.loads((MONITORING / "grafana/dashboards/releases.json").read_text())


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions(*but: str) -> list[str]:
    """Of the dashboard and of the rules, but for some groups of these."""
    groups = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    rules = [rule for group in groups if group["name"] not in but for rule in group["rules"]]
    return [*asked, *(rule["expr"] for rule in rules)]


def test_every_metric_of_ours_that_is_asked_for_is_exported() -> None:
    # Airflow's: tests/dags/test_metrics.py.
    families_ = list(families(Seen(host="one"), datetime.now(UTC)))
    counters = {f"{f.name}_total" for f in families_ if f.type == "counter"}
    exported = {f.name for f in families_ if f.type != "counter"} | counters
    asked = set(re.findall(r"\bnightshift_\w+", " ".join(expressions("nightshift-nights"))))
    assert asked - exported == set()


def test_every_sum_that_is_asked_for_is_recorded() -> None:
    rules = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    recorded = {r["record"] for group in rules for r in group["rules"] if "record" in r}
    asked = set(re.findall(r"\bnightshift:[\w:]+", " ".join(expressions())))
    assert asked - recorded == set()


def test_panels_do_not_overlap_and_have_names_of_their_own() -> None:
    places = [DASHBOARD["panels"][i]["gridPos"] for i in range(len(DASHBOARD["panels"]))]
    taken = [(x, y) for p in places for x in _range(p, "x", "w") for y in _range(p, "y", "h")]
    assert len(taken) == len(set(taken))
    assert len({panel["title"] for panel in panels()}) == len(panels())
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_dashboard_asks_the_provisioned_data_source() -> None:
    provisioned = MONITORING / "grafana/provisioning/datasources/prometheus.yml"
    (source,) = yaml.safe_load(provisioned.read_text())["datasources"]
    used = {panel["datasource"]["uid"] for panel in panels()}
    assert used == {source["uid"]}
    (variable,) = DASHBOARD["templating"]["list"]
    assert variable["datasource"]["uid"] == source["uid"]


def _range(place: dict[str, int], start: str, length: str) -> range:
    return range(place[start], place[start] + place[length])
