"""A host watched by a real Prometheus: what the dashboard asks for is there, and releases are
judged by what was scraped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from nightshift.artifacts.manifest import ArtifactRef, Manifest
from nightshift.artifacts.store import ArtifactStore, new_attempt
from nightshift.definition.rollout import Analysis, CanaryStep, Rollout, Shadowing
from nightshift.release import requests
from nightshift.release.candidate import Candidate
from nightshift.release.record import Colour
from nightshift.stack.ports import Ports
from tests.integration.prometheus import MONITORING, Prometheus, needs_prometheus
from tests.integration.release.rig import PIPELINE, TOKEN, Machine, Rig
from tests.integration.servers import S3, wait_until

pytestmark = needs_prometheus

METRICS_TOKEN = "for metrics alone"
# Nothing condemns, whatever a busy machine does; the step outlasts the test.
ROLLOUT = Rollout(
    shadow=Shadowing(sample=1),
    steps=(CanaryStep(weight=50, seconds=600),),
    analysis=Analysis(latency_ratio=50, max_error_rate=1, max_shift=1, disagreement_tolerance=100),
)


class Watched:
    """A host, and the Prometheus that scrapes it and tells its agent what Envoy counted."""

    def __init__(self, rig: Rig, prometheus: Prometheus) -> None:
        self.rig = rig
        self.prometheus = prometheus


@pytest.fixture(scope="module")
def watched(
    machine: Machine,
    tmp_path_factory: pytest.TempPathFactory,
    s3_of_module: S3,
    saved_models: Path,
) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    token = folder / "metrics-token"
    token.write_text(METRICS_TOKEN)
    rig = Rig(machine, folder / "host", s3_of_module, saved_models)
    ports = Ports(
        agent=rig.agent_port,
        envoy_admin=machine.layout.admin.port,
        blue_rest=machine.upstreams[Colour.BLUE].rest.port,
        green_rest=machine.upstreams[Colour.GREEN].rest.port,
    )
    prometheus = Prometheus(folder / "prometheus", ports, METRICS_TOKEN)
    rig.agent.command += [
        f"--metrics-token-file={token}",
        f"--prometheus={prometheus.url}",
        f'--prometheus-matching=job="envoy",instance="127.0.0.1:{ports.envoy_admin}"',
    ]
    with prometheus, rig.agent:
        prometheus.ready()
        yield Watched(rig, prometheus)


def test_metrics_are_for_those_with_a_token_and_theirs_opens_nothing_else(watched: Watched) -> None:
    rig = watched.rig
    wait_until(lambda: _status(rig, "/metrics", METRICS_TOKEN) == 200, seconds=120, what="metrics")
    assert _status(rig, "/metrics", TOKEN) == 200
    assert _status(rig, "/metrics", "") == 401
    assert _status(rig, "/metrics", "another") == 401
    assert _status(rig, "/status", METRICS_TOKEN) == 401
    body = {"pipeline": PIPELINE, "reason": "not yours"}
    assert rig.local("POST", "/rollback", token=METRICS_TOKEN, json=body).status_code == 401
    page = rig.local("GET", "/metrics", token=METRICS_TOKEN).text
    names = {family.name for family in text_string_to_metric_families(page)}
    assert "nightshift_agent_leads" in names


def test_every_query_of_the_dashboard_returns_data_during_a_canary(watched: Watched) -> None:
    rig, prometheus = watched.rig, watched.prometheus
    assert rig.release(1).succeeded
    release = rig.ask(_with_drift(rig, rig.publish(2)), rollout=ROLLOUT)
    rig.await_version(2, seconds=120)
    queries = _queries()
    assert len(queries) > 30
    empty = set(queries)

    def none_is_empty() -> bool:
        # Over a while, as panels ask: a scrape that comes late on a busy machine leaves a gap.
        empty.difference_update([q for q in empty if prometheus.over(q, seconds=60)])
        return not empty

    with rig.traffic(clients=2):
        try:
            wait_until(none_is_empty, seconds=240, every=2, what="all queries return data")
        except AssertionError as error:
            state = requests.watch(rig.bucket, PIPELINE, release)
            raise AssertionError(f"{error}: {state}\nempty: {sorted(empty)}") from None
    # Counted by the agent from Prometheus, shown by the agent to Prometheus.
    green = 'nightshift_stretch_requests{stretch="canary-1",colour="green"}'
    assert max(prometheus.over(green, seconds=60)) > 0
    drift = 'nightshift_data_distance{kind="drift",column="carrier"}'
    assert set(prometheus.over(drift, seconds=60)) == {0.4}


def test_a_rejected_version_is_alerted(watched: Watched) -> None:
    rig, prometheus = watched.rig, watched.prometheus
    assert set(prometheus.over("nightshift_rejections_total", seconds=60)) == {0}
    requests.rollback(rig.bucket, PIPELINE, by="test", reason="looks odd")
    wait_until(
        lambda: "VersionRejected" in prometheus.firing(), seconds=120, every=1, what="the alert"
    )
    events = 'nightshift_release_events_total{kind="aborted"}'
    assert max(prometheus.over(events, seconds=60)) == 1


def _status(rig: Rig, path: str, token: str) -> int:
    try:
        return rig.local("GET", path, token=token).status_code
    except httpx.HTTPError:
        return 0


def _queries() -> list[str]:
    """The dashboard's, with its variables filled in as Grafana does."""
    dashboard = json.loads((MONITORING / "grafana/dashboards/releases.json").read_text())
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", ())]
    found = [
        target["expr"].replace("$pipeline", PIPELINE).replace("$__rate_interval", "1m")
        for target in targets
    ]
    assert not [query for query in found if re.search(r"\$\w", query)]
    return found


def _with_drift(rig: Rig, candidate: Candidate) -> Candidate:
    """The candidate, of a night whose statistics measured drift."""
    manifest = Manifest(
        pipeline=PIPELINE,
        kind="statistics",
        key="s" * 32,
        attempt=new_attempt(),
        files={},
        created=datetime.now(UTC),
        metrics={"drift/carrier": 0.4, "holdout_drift/origin": 0.01, "warnings": 1.0, "rows": 9.0},
    )
    empty = rig.folder / "statistics"
    empty.mkdir()
    ref: ArtifactRef = ArtifactStore(rig.bucket).commit(manifest, empty).ref
    return candidate.model_copy(update={"lineage": {**candidate.lineage, "statistics": ref}})
