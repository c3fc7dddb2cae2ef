"""What Envoy counted of each pipeline's two colours, from Envoy itself or from Prometheus.

Both speak Prometheus's names, so both are read alike.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import httpx
from prometheus_client.parser import text_string_to_metric_families

from nightshift.errors import UnavailableError
from nightshift.release.address import Address
from nightshift.release.record import Colour
from nightshift.release.routes import cluster
from nightshift.release.traffic import BOUNDS_MS, Counts, Traffic

_SECONDS = 5.0
_CLUSTER = "envoy_cluster_name"
_CODES = "envoy_cluster_upstream_rq_xx"
_RETRIES = "envoy_cluster_upstream_rq_retry"
_TIMES = "envoy_cluster_upstream_rq_time_bucket"
_GRPC = re.compile(r"envoy_cluster_grpc_.+_(\d+)")
"""Service, method and status in one name."""
_SERVER_SIDE = {2, 4, 8, 12, 13, 14, 15}
"""The gRPC statuses that a server is to blame for: UNKNOWN, DEADLINE_EXCEEDED,
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS."""


@dataclass(frozen=True)
class Reading:
    """One counter at one moment."""

    name: str
    labels: dict[str, str]
    value: float


class EdgeMetrics(Protocol):
    """Where the counters come from."""

    def read(self) -> Iterable[Reading]:
        """All of them, since Envoy's start (raises UnavailableError)."""


class EnvoyMetrics:
    """Envoy's own administration endpoint.

    Args:
        admin: Its address.
    """

    def __init__(self, admin: Address) -> None:
        self._url = f"http://{admin}/stats/prometheus"
        self._client = httpx.Client(timeout=_SECONDS, trust_env=False)

    def read(self) -> Iterable[Reading]:
        """All counters that a release is judged by."""
        wanted = r"^cluster\..*\.(upstream_rq_(.xx|retry|time)$|grpc\.)"
        try:
            answer = self._client.get(self._url, params={"filter": wanted})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise UnavailableError(f"Envoy's metrics at {self._url}: {error!r}") from error
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                # The parser names counters as OpenMetrics does; Envoy and Prometheus do not.
                name = sample.name.removesuffix("_total")
                yield Reading(name, dict(sample.labels), sample.value)


class PrometheusMetrics:
    """A Prometheus server that scrapes this host's Envoy.

    Args:
        address: Its URL.
        matching: Labels that tell this host's Envoy from others', as in ``instance="one:9901"``.
    """

    def __init__(self, address: str, matching: str) -> None:
        self._url = f"{address.rstrip('/')}/api/v1/query"
        names = f'__name__=~"({_CODES}|{_RETRIES}|{_TIMES}|envoy_cluster_grpc_.*)"'
        self._query = "{" + ",".join(filter(None, (names, matching))) + "}"
        self._client = httpx.Client(timeout=_SECONDS, trust_env=False)

    def read(self) -> Iterable[Reading]:
        """The newest scrape."""
        try:
            answer = self._client.get(self._url, params={"query": self._query})
            answer.raise_for_status()
            found = answer.json()["data"]["result"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise UnavailableError(f"Prometheus at {self._url}: {error!r}") from error
        if not found:
            raise UnavailableError(
                f"Prometheus at {self._url} knows nothing of {self._query}: does it scrape Envoy?"
            )
        for series in found:
            labels = dict(series["metric"])
            yield Reading(labels.pop("__name__"), labels, float(series["value"][1]))


@dataclass
class _Tally:
    """One cluster's counters."""

    requests: int = 0
    failures: int = 0
    errors: int = 0
    grpc_failures: int = 0
    grpc_errors: int = 0
    retries: int = 0
    within: list[int] = field(default_factory=lambda: [0] * len(BOUNDS_MS))

    def counts(self) -> Counts:
        # A gRPC call that no server answered is counted by its HTTP code too.
        failures = max(self.failures, self.grpc_failures) + self.retries
        errors = max(self.errors, self.grpc_errors) + self.retries
        return Counts(
            requests=self.requests,
            failures=min(self.requests, failures),
            errors=min(self.requests, errors),
            within=tuple(self.within),
        )


def traffic_of(readings: Iterable[Reading], pipelines: Iterable[str]) -> dict[str, Traffic]:
    """What was counted so far, by pipeline.

    A gRPC call counts by its own status: for HTTP a failed one is 200 all the same.
    """
    clusters = {
        cluster(pipeline, colour, protocol)
        for pipeline in pipelines
        for colour in Colour
        for protocol in _PROTOCOLS
    }
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    for reading in readings:
        name = reading.labels.get(_CLUSTER, "")
        if name in clusters:
            _add(tallies[name], reading)

    def counts(pipeline: str, colour: Colour) -> Counts:
        parts = (tallies[cluster(pipeline, colour, p)].counts() for p in _PROTOCOLS)
        return sum(parts, Counts())

    return {
        pipeline: Traffic(blue=counts(pipeline, Colour.BLUE), green=counts(pipeline, Colour.GREEN))
        for pipeline in pipelines
    }


def _add(tally: _Tally, reading: Reading) -> None:
    value = int(reading.value)
    if reading.name == _CODES:
        code = reading.labels.get("envoy_response_code_class", "")
        tally.requests += value
        tally.failures += value * (code in {"4", "5"})
        tally.errors += value * (code == "5")
    elif reading.name == _RETRIES:
        tally.retries += value
    elif reading.name == _TIMES:
        _add_times(tally, reading.labels["le"], value)
    elif found := _GRPC.fullmatch(reading.name):
        status = int(found[1])
        tally.grpc_failures += value * (status != 0)
        tally.grpc_errors += value * (status in _SERVER_SIDE)


def _add_times(tally: _Tally, bound: str, value: int) -> None:
    place = _PLACES.get(round(float(bound))) if bound != "+Inf" else None
    if place is not None:
        tally.within[place] += value


_PROTOCOLS = ("rest", "grpc")
_PLACES = {bound: place for place, bound in enumerate(BOUNDS_MS)}
