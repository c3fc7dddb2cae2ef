"""Every alert fires in a real Prometheus that scrapes a host on which everything is wrong."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
from tests.integration.prometheus import (
    ALERTMANAGER,
    MONITORING,
    Alertmanager,
    Prometheus,
    needs_alertmanager,
    needs_prometheus,
)
from tests.integration.servers import wait_until
from tests.unit.release.builders import START, candidate, follow, released

TOKEN = "for metrics alone"
NIGHTS = """
nightshift_failed_task{dag_id="retrain_flights",run_type="scheduled",task_id="train"} 1
nightshift_failed_task{dag_id="retrain_fashion",run_type="scheduled",task_id="gate"} 1
nightshift_failed_task{dag_id="rollback",run_type="manual",task_id="on_every_host"} 1
nightshift_asking_task{dag_id="retrain_employment",task_id="approve"} 1
nightshift_run_seconds{dag_id="retrain_flights",run_type="scheduled"} 100000
nightshift_airflow_silent_seconds{part="scheduler"} 600
nightshift_broken_dag_file{file="retrain_shop.py"} 1
"""
"""As Airflow's page says it (tests/dags/test_metrics.py); it cannot be imported here."""


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
    """Agent, Envoy, model server and Airflow where everything is wrong, over HTTP.

    It also takes what Alertmanager has to say: ``heard`` has receiver and alert.
    """

    def __init__(self) -> None:
        self._scrapes = 0
        self.heard: set[tuple[str, str]] = set()
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

            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["content-length"])))
                receiver = self.path.removeprefix("/")
                outer.heard |= {(receiver, a["labels"]["alertname"]) for a in told["alerts"]}
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

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
        if path in ("/metrics", "/nightshift/metrics"):
            shown = self._agent.page() if path == "/metrics" else NIGHTS.encode()
            return (shown, 200) if authorization == f"Bearer {TOKEN}" else (b"", 401)
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


@dataclass
class Watched:
    """The misery, and the Prometheus that sees it."""

    prometheus: Prometheus
    misery: Misery


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder, misery = tmp_path_factory.mktemp("alerts"), Misery()
    here = misery.port
    ports = Ports(
        agent=here, envoy_admin=here, blue_rest=here, green_rest=free_port(), airflow=here
    )
    nobody = f"127.0.0.1:{free_port()}"
    more = {"nightshift-agent": nobody, "envoy": nobody, "airflow": nobody}
    with ExitStack() as running:
        running.callback(misery.server.shutdown)
        told = ""
        if shutil.which(ALERTMANAGER):
            hooks = f"http://127.0.0.1:{here}"
            told = running.enter_context(Alertmanager(folder / "told", hooks)).ready().address
        prometheus = Prometheus(
            folder / "prometheus", ports, TOKEN, more=more, alertmanager=told, wait="1s"
        )
        yield Watched(running.enter_context(prometheus).ready(), misery)


def shipped() -> dict[str, str]:
    """Every alert's severity."""
    groups = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return {rule["alert"]: rule["labels"]["severity"] for rule in rules}


@needs_prometheus
def test_every_alert_fires(watched: Watched) -> None:
    prometheus, alerts = watched.prometheus, set(shipped())
    try:
        wait_until(
            lambda: prometheus.firing() == alerts, seconds=90, every=0.5, what="all alerts fire"
        )
    except AssertionError as error:
        missing = alerts - prometheus.firing()
        raise AssertionError(f"{error}; missing: {missing}\n{prometheus.output}") from None


@needs_prometheus
@needs_alertmanager
def test_every_alert_reaches_whom_it_should(watched: Watched) -> None:
    receivers = {"page": "on-call", "ticket": "tickets"}
    # Without an agent there is no leader, and without the store no agent that could lead.
    unsaid = {"NobodyLeads", "ReleaseStuck"}
    wanted = {(receivers[severity], name) for name, severity in shipped().items()}
    wanted -= {("on-call", name) for name in unsaid}
    heard = watched.misery.heard
    wait_until(lambda: heard >= wanted, seconds=90, every=0.5, what=f"{wanted} are told")
    assert {(who, name) for who, name in heard if name not in unsaid} == wanted
