"""Envoy's clusters: one per pipeline, colour and protocol, so that each has metrics of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from nightshift.release.address import Address, Upstream
from nightshift.release.record import Colour
from nightshift.release.routes import cluster

CLUSTERS_FILE = "clusters.json"

_HTTP = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# The servers close an idle HTTP connection after 5 s or more: Envoy must be first, or a request
# is sent into a connection that is just going away.
_UPSTREAM_IDLE = "2s"
_MANY = 10_000


def render_clusters(pipelines: Iterable[str], upstreams: Mapping[Colour, Upstream]) -> str:
    """The cluster file's text: a discovery response.

    Args:
        pipelines: Their names, in any order.
        upstreams: The two colours' servers as Envoy reaches them.
    """
    resources = [
        _cluster(cluster(pipeline, colour, protocol), protocol, address)
        for pipeline in sorted(pipelines)
        for colour, upstream in upstreams.items()
        for protocol, address in (("rest", upstream.rest), ("grpc", upstream.grpc))
    ]
    version = hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:16]
    return json.dumps({"version_info": version, "resources": resources}, indent=1)


def _cluster(name: str, protocol: str, address: Address) -> dict[str, Any]:
    speaks = "http2_protocol_options" if protocol == "grpc" else "http_protocol_options"
    options: dict[str, Any] = {"@type": _HTTP, "explicit_http_config": {speaks: {}}}
    if protocol == "rest":
        options["common_http_protocol_options"] = {"idle_timeout": _UPSTREAM_IDLE}
    return {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "2s",
        "dns_lookup_family": "V4_PREFERRED",
        # One server per colour: no health check or outlier rule may ever leave it with none.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": _MANY,
                    "max_pending_requests": _MANY,
                    "max_requests": _MANY,
                    "max_retries": 100,
                }
            ]
        },
        "typed_extension_protocol_options": {_HTTP.removeprefix("type.googleapis.com/"): options},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address.socket}}]}],
        },
    }
