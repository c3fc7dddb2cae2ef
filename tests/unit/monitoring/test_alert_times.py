"""Every alert keeps quiet as long as it should and then fires: Prometheus's own test of rules."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

RULES = Path(__file__).parents[3] / "include/monitoring/rules.yml"
PROMTOOL = shutil.which("promtool")

_RQ = 'envoy_cluster_upstream_rq_xx{envoy_cluster_name="flights-%s",envoy_response_code_class="%s"}'
_TIME = 'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="flights-blue-rest",le="%s"}'
_GRPC = (
    "envoy_cluster_grpc_tensorflow_serving_PredictionService_Predict_{0}"
    '{{envoy_cluster_name="flights-green-grpc",grpc_method="Predict",grpc_status="{0}"}}'
)
_FAILED = 'nightshift_failed_task{dag_id="%s",run_type="%s",task_id="%s"}'
_UNDER_WAY = 'nightshift_run_seconds{dag_id="%s",run_type="%s"}'
_LIMIT = 'nightshift_alarm_limit{pipeline="flights",alarm="%s"}'


@dataclass(frozen=True)
class Case:
    """One course of things.

    Attributes:
        alert: The alert that it is about.
        series: Values every 15 s, as promtool writes them.
        quiet: Times at which it must not fire.
        fires: Times at which it must.
        labels: Its labels then.
    """

    alert: str
    series: dict[str, str]
    quiet: tuple[str, ...]
    fires: tuple[str, ...]
    labels: str = 'pipeline="flights"'


CASES = (
    Case(
        "FailureRate",
        {_RQ % ("blue-rest", 2): "0+95x60", _RQ % ("blue-rest", 5): "0+5x60"},
        quiet=("2m",),
        fires=("3m",),
    ),
    # A failed gRPC call is 200 for HTTP.
    Case(
        "FailureRate",
        {
            _RQ % ("green-grpc", 2): "0+100x60",
            _GRPC.format(14): "0+2x60",
            _GRPC.format(2): "0+2x60",
        },
        quiet=("2m",),
        fires=("3m",),
    ),
    # What clients did wrong wakes nobody, and a pipeline may set a limit of its own.
    Case("FailureRate", {_RQ % ("blue-rest", 4): "0+100x60"}, quiet=("3m", "14m"), fires=()),
    Case(
        "FailureRate",
        {
            _RQ % ("blue-rest", 2): "0+95x60",
            _RQ % ("blue-rest", 5): "0+5x60",
            _LIMIT % "error_rate": "0.1x60",
        },
        quiet=("3m", "14m"),
        fires=(),
    ),
    # The limit outlives the agent that said it.
    Case(
        "FailureRate",
        {
            _RQ % ("blue-rest", 2): "0+98.5x60",
            _RQ % ("blue-rest", 5): "0+1.5x60",
            _LIMIT % "error_rate": "0.01 stale _x58",
        },
        quiet=("2m",),
        fires=("14m",),
    ),
    Case(
        "LatencyHigh",
        {_TIME % 400: "0+90x60", _TIME % 900: "0+100x60", _TIME % "+Inf": "0+100x60"},
        quiet=("5m",),
        fires=("6m",),
    ),
    Case(
        "LatencyHigh",
        {_TIME % 400: "0+100x60", _TIME % 900: "0+100x60", _TIME % "+Inf": "0+100x60"},
        quiet=("14m",),
        fires=(),
    ),
    Case(
        "EnvoyUnreachable",
        {'up{job="envoy",instance="one:9901"}': "1x4 0x40"},
        quiet=("1m45s",),
        fires=("3m",),
        labels='instance="one:9901",job="envoy"',
    ),
    Case(
        "ModelServerUnreachable",
        {'up{job="model-server",instance="one:8511",colour="blue"}': "0x40"},
        quiet=("1m45s",),
        fires=("2m30s",),
        labels='instance="one:8511",job="model-server",colour="blue"',
    ),
    Case(
        "ReleaseStuck",
        {
            'nightshift_release_phase_seconds{pipeline="flights"}': "0+15x60",
            'nightshift_release_phase_allowed_seconds{pipeline="flights"}': "120x60",
        },
        quiet=("3m",),
        fires=("4m",),
    ),
    Case(
        "VersionRejected",
        {'nightshift_rejections_total{pipeline="flights"}': "0x8 1x100"},
        quiet=("1m45s", "20m"),
        fires=("3m", "12m"),
    ),
    Case(
        "VersionRefusedOnHost",
        {
            "nightshift_host_slot_state"
            '{host="one",pipeline="flights",colour="green",state="failed"}': "0x3 1x40"
        },
        quiet=("1m",),
        fires=("2m",),
        labels='host="one",pipeline="flights",colour="green"',
    ),
    Case(
        "RouteBehind",
        {'nightshift_host_route_lacking_seconds{host="one",pipeline="flights"}': "0+15x40"},
        quiet=("1m",),
        fires=("1m30s",),
        labels='host="one",pipeline="flights"',
    ),
    Case(
        "PersonAsked",
        {'nightshift_release_asks{pipeline="flights"}': "1x80"},
        quiet=("9m30s",),
        fires=("11m",),
    ),
    Case(
        "TaskFailed",
        {_FAILED % ("retrain_flights", "scheduled", "train"): "0x0 _x3 1x9 _x40"},
        quiet=("45s", "9m"),
        fires=("1m15s", "3m"),
        labels='dag_id="retrain_flights",task_id="train"',
    ),
    # Of a run that failed without a task, and of a release that could not be asked for.
    Case(
        "TaskFailed",
        {_FAILED % ("release_flights", "asset_triggered", ""): "1x9"},
        quiet=(),
        fires=("1m",),
        labels='dag_id="release_flights"',
    ),
    # Whoever rolls back by hand has a fire to put out.
    Case(
        "RollbackFailed",
        {_FAILED % ("rollback", "manual", "on_every_host"): "1x9"},
        quiet=(),
        fires=("1m",),
        labels='task_id="on_every_host"',
    ),
    # A run by hand has somebody who looks; a refused candidate can wait; a stopped release is
    # VersionRejected.
    Case(
        "TaskFailed",
        {
            _FAILED % ("retrain_flights", "manual", "train"): "1x40",
            _FAILED % ("retrain_flights", "scheduled", "gate"): "1x40",
            _FAILED % ("retrain_fashion", "scheduled", "approve"): "1x40",
            _FAILED % ("retrain_fashion", "scheduled", "edge"): "1x40",
            _FAILED % ("release_flights", "asset_triggered", "watch"): "1x40",
            _FAILED % ("rollback", "manual", "rollback"): "1x40",
        },
        quiet=("1m", "9m"),
        fires=(),
    ),
    Case(
        "CandidateRefused",
        {_FAILED % ("retrain_flights", "scheduled", "gate"): "1x9"},
        quiet=(),
        fires=("1m",),
        labels='dag_id="retrain_flights",task_id="gate"',
    ),
    Case(
        "CandidateRefused",
        {
            _FAILED % ("retrain_flights", "manual", "gate"): "1x40",
            _FAILED % ("retrain_flights", "scheduled", "train"): "1x40",
        },
        quiet=("1m", "9m"),
        fires=(),
    ),
    Case(
        "CandidateWaits",
        {
            'nightshift_asking_task{dag_id="retrain_flights",task_id="approve"}': "1x80",
            # PersonAsked tells of these.
            'nightshift_asking_task{dag_id="release_fashion",task_id="answer"}': "1x80",
        },
        quiet=("9m30s",),
        fires=("11m",),
        labels='dag_id="retrain_flights"',
    ),
    Case(
        "NightUnended",
        {_UNDER_WAY % ("retrain_flights", "scheduled"): "86300+15x40"},
        quiet=("1m30s",),
        fires=("2m",),
        labels='dag_id="retrain_flights"',
    ),
    Case(
        "DagFileBroken",
        {'nightshift_broken_dag_file{file="retrain_flights.py"}': "1x40"},
        quiet=("4m30s",),
        fires=("5m30s",),
        labels='file="retrain_flights.py"',
    ),
    Case(
        "AirflowSilent",
        {'nightshift_airflow_silent_seconds{part="scheduler"}': "0+15x40"},
        quiet=("2m",),
        fires=("2m30s",),
        labels='part="scheduler"',
    ),
    Case(
        "AirflowUnreachable",
        {'up{job="airflow",instance="one:8080"}': "0x40"},
        quiet=("1m45s",),
        fires=("2m30s",),
        labels='instance="one:8080",job="airflow"',
    ),
    Case(
        "StaleChampion",
        {
            'nightshift_live_night_age_days{pipeline="flights"}': "3.5x80",
            _LIMIT % "stale_days": "3x80",
        },
        quiet=("9m30s",),
        fires=("11m",),
    ),
    Case(
        "DataDrift",
        {
            'nightshift_data_distance{pipeline="flights",kind="drift",column="carrier"}': "0.3x9",
            'nightshift_data_distance{pipeline="flights",kind="skew",column="carrier"}': "0.1x9",
            _LIMIT % "drift": "0.2x9",
        },
        quiet=(),
        fires=("1m",),
        labels='pipeline="flights",kind="drift",column="carrier"',
    ),
    Case(
        "AgentSilent",
        {'up{job="nightshift-agent",instance="one:8530"}': "0x40"},
        quiet=("45s",),
        fires=("1m30s",),
        labels='instance="one:8530",job="nightshift-agent"',
    ),
    Case(
        "HostSilent",
        {'nightshift_host_silent_seconds{host="two"}': "0+15x40"},
        quiet=("30s",),
        fires=("1m",),
        labels='host="two"',
    ),
    Case(
        "NobodyLeads",
        {'nightshift_agent_leads{host="one"}': "1x3 0x40"},
        quiet=("1m30s",),
        fires=("2m30s",),
        labels="",
    ),
    Case(
        "NobodyLeads",
        {
            'nightshift_agent_leads{host="one"}': "1x3 0x40",
            'nightshift_agent_leads{host="two"}': "0x3 1x40",
        },
        quiet=("5m",),
        fires=(),
    ),
    # Not one agent is there to say so.
    Case("NobodyLeads", {}, quiet=("45s",), fires=("2m",), labels=""),
    Case(
        "StoreUnreachable",
        {'nightshift_store_silent_seconds{host="one"}': "0+15x40"},
        quiet=("1m",),
        fires=("1m30s",),
        labels='host="one"',
    ),
    Case(
        "MetricsUnreachable",
        {'nightshift_edge_metrics_silent_seconds{host="one",pipeline="flights"}': "0+5x40"},
        quiet=("45s",),
        fires=("1m30s",),
        labels='host="one"',
    ),
)


def shipped() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for g in groups for rule in g["rules"] if "alert" in rule}


def test_every_alert_is_tried_and_some_case_makes_it_fire() -> None:
    assert {case.alert for case in CASES if case.fires} == set(shipped())


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    for name, rule in shipped().items():
        assert set(rule["annotations"]) == {"summary", "do"}, name
        assert rule["labels"]["severity"] in ("page", "ticket"), name


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")
def test_every_alert_waits_as_long_as_it_says_and_then_fires(tmp_path: Path) -> None:
    severity = {name: rule["labels"]["severity"] for name, rule in shipped().items()}
    file = tmp_path / "rules_test.yml"
    tests = [_promtool(case, severity[case.alert]) for case in CASES]
    file.write_text(
        yaml.safe_dump(
            {"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": tests},
            sort_keys=False,
        )
    )
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")
def test_prometheus_and_alertmanager_take_the_shipped_files(tmp_path: Path) -> None:
    _run(str(PROMTOOL), "check", "rules", str(RULES))
    # The token lies in a container; whether it is there is no fault of the file.
    config = (RULES.parent / "prometheus.yml").read_text()
    token = tmp_path / "token"
    token.write_text("t")
    file = tmp_path / "prometheus.yml"
    file.write_text(config.replace("/run/secrets/metrics_token", str(token)))
    shutil.copy(RULES, tmp_path)
    _run(str(PROMTOOL), "check", "config", str(file))
    if amtool := shutil.which("amtool"):
        _run(amtool, "check-config", str(RULES.parent / "alertmanager.yml"))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _promtool(case: Case, severity: str) -> dict[str, Any]:
    alert = f'ALERTS{{alertname="{case.alert}",alertstate="firing"}}'
    more = f"{case.labels}," if case.labels else ""
    told = f'ALERTS{{alertname="{case.alert}",alertstate="firing",{more}severity="{severity}"}}'
    samples: list[tuple[str, list[dict[str, Any]]]] = [
        *((time, []) for time in case.quiet),
        *((time, [{"labels": told, "value": 1}]) for time in case.fires),
    ]
    return {
        "name": case.alert,
        "interval": "15s",
        "input_series": [{"series": s, "values": v} for s, v in case.series.items()],
        "promql_expr_test": [
            {"expr": alert, "eval_time": time, "exp_samples": expected}
            for time, expected in samples
        ],
    }
