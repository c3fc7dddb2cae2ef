"""Envoy's fixed part: listeners, clusters and where it finds its routes.

Routes alone change at run time (:mod:`nightshift.release.routes`): the agent renames a file into
a directory that Envoy watches. ``python -m nightshift.release.envoy --help`` writes both files
before Envoy's first start, which needs them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightshift.release.files import write_atomically
from nightshift.release.record import Colour
from nightshift.release.routes import ROUTES_FILE, ROUTES_NAME, cluster, render_routes

BOOTSTRAP_FILE = "bootstrap.json"

_HTTP = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
    ".HttpConnectionManager"
)
_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
# The servers close an idle HTTP connection after 5 s or more: Envoy must be first, or a request
# is sent into a connection that is just going away.
_UPSTREAM_IDLE = "2s"
_MANY = 10_000


@dataclass(frozen=True)
class Address:
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``host:port``.

        Raises:
            ValueError: It is not of that form.
        """
        host, separator, port = text.rpartition(":")
        if not separator or not host or not port.isdigit():
            raise ValueError(f"{text!r} is not of the form host:port")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Upstream:
    """One colour's model server as Envoy reaches it."""

    rest: Address
    grpc: Address


@dataclass(frozen=True)
class EnvoyLayout:
    """Everything that the bootstrap file says.

    Attributes:
        rest: Where clients send REST.
        grpc: Where clients send gRPC.
        admin: Envoy's own administration; keep it on 127.0.0.1.
        upstreams: The two colours.
        folder: Where the route file lies, as Envoy sees it.
        node: Name of this Envoy in its own metrics and dumps.
    """

    rest: Address
    grpc: Address
    admin: Address
    upstreams: Mapping[Colour, Upstream]
    folder: Path
    node: str = "nightshift"


def render_bootstrap(layout: EnvoyLayout) -> str:
    """The bootstrap file's text (JSON)."""
    bootstrap = {
        "node": {"id": layout.node, "cluster": "nightshift"},
        "admin": {"address": _socket(layout.admin)},
        "static_resources": {
            "listeners": [
                _listener("rest", layout.rest, layout.folder),
                _listener("grpc", layout.grpc, layout.folder),
            ],
            "clusters": [
                _cluster(colour, protocol, address)
                for colour, upstream in layout.upstreams.items()
                for protocol, address in (("rest", upstream.rest), ("grpc", upstream.grpc))
            ],
        },
    }
    return json.dumps(bootstrap, indent=1)


def _socket(address: Address) -> dict[str, Any]:
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _listener(name: str, address: Address, folder: Path) -> dict[str, Any]:
    manager = {
        "@type": _MANAGER,
        "stat_prefix": name,
        "codec_type": "AUTO",
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "rds": {"route_config_name": ROUTES_NAME, "config_source": _routes_source(folder)},
        "http_filters": [
            # A failed gRPC call is HTTP 200: without this filter nobody would count it.
            {
                "name": "grpc_stats",
                "typed_config": {
                    "@type": f"{_FILTERS}.grpc_stats.v3.FilterConfig",
                    "stats_for_all_methods": True,
                    "enable_upstream_stats": True,
                },
            },
            {"name": "router", "typed_config": {"@type": f"{_FILTERS}.router.v3.Router"}},
        ],
    }
    return {
        "name": name,
        "address": _socket(address),
        "per_connection_buffer_limit_bytes": 1 << 20,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _routes_source(folder: Path) -> dict[str, Any]:
    return {
        "resource_api_version": "V3",
        "path_config_source": {
            "path": str(folder / ROUTES_FILE),
            # Envoy looks again when a file is renamed into this directory, not on an edit.
            "watched_directory": {"path": str(folder)},
        },
    }


def _cluster(colour: Colour, protocol: str, address: Address) -> dict[str, Any]:
    name = cluster(colour, protocol)
    speaks = "http2_protocol_options" if protocol == "grpc" else "http_protocol_options"
    options: dict[str, Any] = {"@type": _HTTP, "explicit_http_config": {speaks: {}}}
    if protocol == "rest":
        options["common_http_protocol_options"] = {"idle_timeout": _UPSTREAM_IDLE}
    return {
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
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _socket(address)}}]}],
        },
    }


def write_files(layout: EnvoyLayout, out: Path) -> Path:
    """Write the bootstrap file, and an empty route file where there is none yet.

    Args:
        layout: What to write.
        out: The folder as this process sees it.

    Returns:
        The bootstrap file.
    """
    out.mkdir(parents=True, exist_ok=True)
    if not (out / ROUTES_FILE).exists():
        write_atomically(out / ROUTES_FILE, render_routes([]))
    bootstrap = out / BOOTSTRAP_FILE
    write_atomically(bootstrap, render_bootstrap(layout))
    return bootstrap


def main(arguments: Sequence[str]) -> int:
    """Write the files; prints the bootstrap file's path."""
    parser = argparse.ArgumentParser(
        prog="python -m nightshift.release.envoy",
        description="Write Envoy's bootstrap and first route file. Addresses are host:port.",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--seen-as", type=Path, help="the same folder as Envoy sees it")
    for name in ("rest", "grpc", "admin"):
        parser.add_argument(f"--{name}", type=Address.parse, required=True)
    for colour in Colour:
        for protocol in ("rest", "grpc"):
            parser.add_argument(f"--{colour}-{protocol}", type=Address.parse, required=True)
    given = vars(parser.parse_args(arguments))
    layout = EnvoyLayout(
        rest=given["rest"],
        grpc=given["grpc"],
        admin=given["admin"],
        upstreams={c: Upstream(given[f"{c}_rest"], given[f"{c}_grpc"]) for c in Colour},
        folder=(given["seen_as"] or given["out"]).absolute(),
    )
    print(write_files(layout, given["out"].absolute()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
