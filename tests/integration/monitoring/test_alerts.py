"""Every alert fires in a real Prometheus that scrapes a host on which everything is wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from prometheus_client import CONTENT_TYPE_LATEST

from nightshift.release import machine, projection
from nightshift.release.agent_metrics import AgentMetrics, Seen
from nightshift.release.event import Change, EventKind
from nightshift.release.record import About, ReleaseRecord
from nightshift.release.status import PipelineStatus, RouteStatus, SlotState, SlotStatus
from nightshift.release.survey import Drift, Findings, Tally
from nightshift.stack.ports import Ports
from tests.integration.ports import free_port
from tests.integration.prometheus import MONITORING, Prometheus, needs_prometheus
from tests.integration.servers import wait_until
from tests.unit.release.builders import START, candidate, follow, released

TOKEN = "for metrics alone"


def stuck() -> ReleaseRecord:
    """A release that asked a person months ago, and whose question nobody ended."""
    live = released(1)
    asked = machine.request(live, candidate(2), by="test", reason="a good night")
    record = follow(live, asked)
    for kind in (EventKind.STAGED, EventKind.VERIFIED):
        record = follow(record, Change(kind=kind, reason="ready"))
    question = Change(kind=EventKind.ASKED, about=About.PROMOTION, reason="may it?")
    at = START + timedelta(seconds=5)
    return projection.apply(record, question, number=record.number + 1, at=at)


class Misery:
    """Agent, Envoy and model server of a host on which everything is wrong, over HTTP."""

    def __init__(self) -> None:
        self._scrapes = 0
        self._agent = AgentMetrics(self._seen)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body, status = outer.page(self.path, self.headers.get("authorization", ""))
                self.send_response(status)
                self.send_header("content-type", CONTENT_TYPE_LATEST)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    # Prometheus had waited long enough.
                    self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def page(self, path: str, authorization: str) -> tuple[bytes, int]:
        self._scrapes += 1
        if path == "/metrics":
            allowed = authorization == f"Bearer {TOKEN}"
            return (self._agent.page(), 200) if allowed else (b"", 401)
        if path == "/stats/prometheus":
            return self._envoy().encode(), 200
        return b"fine 1\n", 200

    def _seen(self) -> Seen:
        status = PipelineStatus(
            green=SlotStatus(version=2, state=SlotState.FAILED, message="another signature"),
            route=RouteStatus(lacking_seconds=90),
            metrics_silent_seconds=20,
        )
        findings = Findings(
            tallies={"flights": Tally(rejections=self._scrapes)},
            drifts={"flights": Drift(2, {("drift", "carrier"): 0.4})},
            silences={"two": 45.0},
        )
        return Seen(
            host="one",
            records={"flights": stuck()},
            statuses={"flights": status},
            leads=False,
            store_silent_seconds=100.0,
            findings=findings,
        )

    def _envoy(self) -> str:
        """As Envoy writes it: half of the requests fail, and all take a second."""
        rest, n = 'envoy_cluster_name="flights-blue-rest"', self._scrapes * 10
        times = "envoy_cluster_upstream_rq_time_bucket"
        return "\n".join(
            [
                "# TYPE envoy_cluster_upstream_rq_xx counter",
                f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="2",{rest}}} {n}',
                f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="5",{rest}}} {n}',
                "# TYPE envoy_cluster_upstream_rq_time histogram",
                f'{times}{{{rest},le="500"}} 0',
                f'{times}{{{rest},le="1000"}} {n}',
                f'{times}{{{rest},le="+Inf"}} {n}',
                f"envoy_cluster_upstream_rq_time_sum{{{rest}}} {n * 900}",
                f"envoy_cluster_upstream_rq_time_count{{{rest}}} {n}",
                "",
            ]
        )


@pytest.fixture
def misery() -> Iterator[Misery]:
    misery = Misery()
    yield misery
    misery.server.shutdown()


@needs_prometheus
def test_every_alert_fires(misery: Misery, tmp_path: Path) -> None:
    here = misery.port
    ports = Ports(agent=here, envoy_admin=here, blue_rest=here, green_rest=free_port())
    nobody = f"127.0.0.1:{free_port()}"
    more = {"nightshift-agent": nobody, "envoy": nobody}
    groups = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    with Prometheus(tmp_path / "prometheus", ports, TOKEN, more=more, wait="1s") as prometheus:
        prometheus.ready()
        try:
            wait_until(
                lambda: prometheus.firing() == alerts, seconds=90, every=0.5, what="all alerts fire"
            )
        except AssertionError as error:
            missing = alerts - prometheus.firing()
            raise AssertionError(f"{error}; missing: {missing}\n{prometheus.output}") from None
