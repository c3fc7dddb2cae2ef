"""Envoy's counters in Prometheus's names, and the counts of one stretch of a release."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nightshift.errors import UnavailableError
from nightshift.release.edge_metrics import Reading, traffic_of
from nightshift.release.meter import Meter
from nightshift.release.record import Colour, Phase
from nightshift.release.traffic import BOUNDS_MS, Counts
from tests.unit.release.test_steps import canary, until


def codes(cluster: str, **by_class: int) -> list[Reading]:
    return [
        Reading(
            "envoy_cluster_upstream_rq_xx",
            {"envoy_cluster_name": cluster, "envoy_response_code_class": name[1:]},
            value,
        )
        for name, value in by_class.items()
    ]


def status(cluster: str, number: int, value: int) -> Reading:
    name = f"envoy_cluster_grpc_PredictionService_Predict_{number}"
    return Reading(name, {"envoy_cluster_name": cluster}, value)


def test_rest_counts_by_its_codes() -> None:
    found = traffic_of(codes("flights-green-rest", _2=90, _4=6, _5=4), ["flights"])["flights"]
    assert found.green == Counts(requests=100, failures=10, errors=4, within=(0,) * len(BOUNDS_MS))
    assert found.blue.requests == 0


def test_grpc_counts_by_its_own_status_though_http_says_200() -> None:
    name = "flights-blue-grpc"
    readings = [*codes(name, _2=100), status(name, 0, 90), status(name, 3, 6), status(name, 13, 4)]
    blue = traffic_of(readings, ["flights"])["flights"].blue
    assert (blue.requests, blue.failures, blue.errors) == (100, 10, 4)


def test_retries_are_failures_and_never_more_than_the_requests() -> None:
    name = "flights-green-rest"
    retries = Reading("envoy_cluster_upstream_rq_retry", {"envoy_cluster_name": name}, 30)
    green = traffic_of([*codes(name, _5=10), retries], ["flights"])["flights"].green
    assert (green.requests, green.failures, green.errors) == (10, 10, 10)


def test_other_pipelines_and_other_clusters_are_left_out() -> None:
    found = traffic_of(codes("boats-blue-rest", _2=5), ["flights"])
    assert set(found) == {"flights"} and found["flights"].blue.requests == 0


def test_counters_that_began_anew_count_from_there() -> None:
    before, after = Counts(requests=100, failures=5), Counts(requests=7, failures=1)
    assert after.since(before) == after


class Envoy:
    """Counters that a test moves."""

    def __init__(self) -> None:
        self.requests = 1000
        self.away = False

    def read(self) -> Iterable[Reading]:
        if self.away:
            raise UnavailableError("away")
        return codes("flights-green-rest", _2=self.requests)


def test_a_stretch_counts_from_its_first_look_over_restarts_of_agent_and_envoy(
    tmp_path: Path,
) -> None:
    envoy, record = Envoy(), canary()
    meter = Meter(envoy, tmp_path)
    meter.look([record])
    envoy.requests += 50
    meter.look([record])
    envoy.requests = 20  # Envoy began anew.
    meter = Meter(envoy, tmp_path)
    meter.look([record])
    metered = meter.of("flights")
    assert metered is not None and record.request and metered.release == record.request.id
    assert metered.stretches["canary-1"].green.requests == 70


def test_what_a_later_phase_counts_is_its_own(tmp_path: Path) -> None:
    envoy, record = Envoy(), canary()
    meter = Meter(envoy, tmp_path)
    meter.look([record])
    envoy.requests += 50
    meter.look([record])
    baking = until(record.model_copy(update={"approved": frozenset({"quiet"})}), Phase.BAKING, 700)
    envoy.requests += 5
    meter.look([baking])
    metered = meter.of("flights")
    assert metered is not None
    counted = {name: traffic.green.requests for name, traffic in metered.stretches.items()}
    assert counted == {"canary-1": 50, "baking": 5}


def test_memory_is_told_as_growth_since_the_release_was_first_judged(tmp_path: Path) -> None:
    meter, record = Meter(Envoy(), tmp_path), canary()
    meter.look([record], {Colour.GREEN: 500})
    meter.look([record], {Colour.GREEN: 900})
    meter.look([record], {Colour.GREEN: 600})
    metered = meter.of("flights")
    assert metered is not None
    assert metered.stretches["canary-1"].growth(Colour.GREEN) == 1.8


def test_unreadable_counters_are_told(tmp_path: Path) -> None:
    envoy, record = Envoy(), canary()
    meter = Meter(envoy, tmp_path)
    envoy.away = True
    meter.look([record])
    assert meter.silent_seconds > 0
    envoy.away = False
    meter.look([record])
    assert meter.silent_seconds == 0
