"""Envoy's fixed part: listeners, and where it finds its clusters and routes.

Those two change at run time (:mod:`nightshift.release.clusters`,
:mod:`nightshift.release.routes`): the agent renames a file into a directory that Envoy watches.
``python -m nightshift.release.envoy --help`` writes all files before Envoy's first start, which
needs them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nightshift.release import access as edge_access
from nightshift.release import asked_model
from nightshift.release.access import ListenerAccess
from nightshift.release.address import Address
from nightshift.release.clusters import CLUSTERS_FILE, render_clusters
from nightshift.release.files import write_atomically
from nightshift.release.routes import ROUTES_FILE, ROUTES_NAME, render_routes
from nightshift.release.tap import tap_filter
from nightshift.release.traffic import BOUNDS_MS

BOOTSTRAP_FILE = "bootstrap.json"
READY_PATH = "/ready"
"""Where load balancers ask, at both listeners and without a key, whether to send requests here."""

_MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
    ".HttpConnectionManager"
)
_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"


@dataclass(frozen=True)
class EnvoyLayout:
    """Everything that the bootstrap file says.

    Attributes:
        rest: Where clients send REST.
        grpc: Where clients send gRPC.
        admin: Envoy's own administration; keep it on 127.0.0.1.
        folder: Where the route file lies, as Envoy sees it.
        node: Name of this Envoy in its own metrics and dumps.
        access: What clients must show.
    """

    rest: Address
    grpc: Address
    admin: Address
    folder: Path
    node: str = "nightshift"
    access: ListenerAccess = field(default_factory=ListenerAccess)


def render_bootstrap(layout: EnvoyLayout) -> str:
    """The bootstrap file's text (JSON)."""
    bootstrap = {
        "node": {"id": layout.node, "cluster": "nightshift"},
        "admin": {"address": layout.admin.socket},
        "static_resources": {
            "listeners": [
                _listener("rest", layout.rest, layout),
                _listener("grpc", layout.grpc, layout),
            ],
        },
        "dynamic_resources": {"cds_config": _watched(layout.folder, CLUSTERS_FILE)},
        # A second is the finest that a release is judged by.
        "stats_flush_interval": "1s",
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"suffix": "upstream_rq_time"}, "buckets": list(BOUNDS_MS)}
            ]
        },
    }
    return json.dumps(bootstrap, indent=1)


def _listener(name: str, address: Address, layout: EnvoyLayout) -> dict[str, Any]:
    folder, access = layout.folder, layout.access
    manager = {
        "@type": _MANAGER,
        "stat_prefix": name,
        "codec_type": "AUTO",
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "rds": {"route_config_name": ROUTES_NAME, "config_source": _watched(folder, ROUTES_FILE)},
        **edge_access.manager_options(access),
        "local_reply_config": {"mappers": [asked_model.words(), *edge_access.words(access)]},
        "http_filters": [
            _health_check(),
            *edge_access.filters(access),
            *asked_model.filters(),
            # A failed gRPC call is HTTP 200: without this filter nobody would count it.
            {
                "name": "grpc_stats",
                "typed_config": {
                    "@type": f"{_FILTERS}.grpc_stats.v3.FilterConfig",
                    "stats_for_all_methods": True,
                    "enable_upstream_stats": True,
                },
            },
            tap_filter(),
            {"name": "router", "typed_config": {"@type": f"{_FILTERS}.router.v3.Router"}},
        ],
    }
    return {
        "name": name,
        "address": address.socket,
        "per_connection_buffer_limit_bytes": 1 << 20,
        **edge_access.listener_options(access),
        "filter_chains": [
            {
                "filters": [{"name": "http", "typed_config": manager}],
                **edge_access.transport_socket(access, folder),
            }
        ],
    }


def _health_check() -> dict[str, Any]:
    """Before all others: 200, or 503 once Envoy was told to fail it; anybody may ask.

    While it fails, all answers also have ``x-envoy-immediate-health-check-fail``, and connections
    are closed after their next answer, so that clients' pools move on.
    """
    return {
        "name": "nightshift.ready",
        "typed_config": {
            "@type": f"{_FILTERS}.health_check.v3.HealthCheck",
            "pass_through_mode": False,
            "headers": [{"name": ":path", "string_match": {"exact": READY_PATH}}],
        },
    }


def _watched(folder: Path, file: str) -> dict[str, Any]:
    return {
        "resource_api_version": "V3",
        "path_config_source": {
            "path": str(folder / file),
            # Envoy looks again when a file is renamed into this directory, not on an edit.
            "watched_directory": {"path": str(folder)},
        },
    }


def write_files(layout: EnvoyLayout, out: Path) -> Path:
    """Write the bootstrap file, and empty cluster and route files where there are none yet.

    Args:
        layout: What to write.
        out: The folder as this process sees it.

    Returns:
        The bootstrap file.
    """
    out.mkdir(parents=True, exist_ok=True)
    for file, empty in ((CLUSTERS_FILE, render_clusters([], {})), (ROUTES_FILE, render_routes([]))):
        if not (out / file).exists():
            write_atomically(out / file, empty)
    for name, text in edge_access.secret_files(layout.access).items():
        write_atomically(out / name, text)
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
    _add_access(parser)
    given = vars(parser.parse_args(arguments))
    layout = EnvoyLayout(
        rest=given["rest"],
        grpc=given["grpc"],
        admin=given["admin"],
        folder=(given["seen_as"] or given["out"]).absolute(),
        access=ListenerAccess(
            certificates=given["tls_folder"],
            client_ca=given["client_ca"],
            clients=given["clients"],
            max_request_bytes=given["max_request_bytes"],
        ),
    )
    print(write_files(layout, given["out"].absolute()))
    return 0


def _add_access(parser: argparse.ArgumentParser) -> None:
    text = "folder with tls.crt and tls.key, as Envoy sees it; plain text by default"
    parser.add_argument("--tls-folder", type=Path, help=text)
    text = "take client certificates that client-ca.crt in that folder has signed"
    parser.add_argument("--client-ca", action="store_true", help=text)
    text = "let in only who the agent's clients file names; by default everybody"
    parser.add_argument("--clients", action="store_true", help=text)
    text = "largest body of a request; no limit by default"
    parser.add_argument("--max-request-bytes", type=int, help=text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
