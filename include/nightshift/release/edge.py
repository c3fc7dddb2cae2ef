"""This host's Envoy: puts routes into its watched folder and sees that it took them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx
from pydantic import TypeAdapter, ValidationError

from nightshift.release.address import Address, Upstream
from nightshift.release.clients import ClientsFile
from nightshift.release.clusters import CLUSTERS_FILE, render_clusters
from nightshift.release.files import write_atomically
from nightshift.release.layout import HostLayout
from nightshift.release.record import Colour
from nightshift.release.routes import ROUTES_FILE, PipelineRoute, render_routes, version_of

_log = logging.getLogger(__name__)
_ROUTES = TypeAdapter(tuple[PipelineRoute, ...])
_RECHECK_SECONDS = 5.0
_WRITE_AGAIN_SECONDS = 1.0


class Edge:
    """The routes in force on this host. Not thread-safe: one loop owns it.

    Args:
        layout: The host's folders.
        admin: Envoy's administration address.
        upstreams: The two colours' servers as Envoy reaches them.
        clients: Who may ask; None for everybody.
    """

    def __init__(
        self,
        layout: HostLayout,
        admin: Address,
        upstreams: Mapping[Colour, Upstream],
        clients: ClientsFile | None = None,
    ) -> None:
        self._clients = clients
        self._state_file = layout.state / "routes.json"
        self._file = layout.routes / ROUTES_FILE
        self._clusters_file = layout.routes / CLUSTERS_FILE
        self._upstreams = upstreams
        self._admin = admin
        self._client = httpx.Client(timeout=2.0, trust_env=False)
        self._routes: dict[str, PipelineRoute] = {r.pipeline: r for r in self._remembered()}
        self._confirmed = False
        self._checked_at = self._written_at = 0.0

    def route(self, pipeline: str) -> PipelineRoute:
        """The pipeline's route in force."""
        return self._routes.get(pipeline, PipelineRoute(pipeline=pipeline))

    @property
    def confirmed(self) -> bool:
        """Whether Envoy was seen to use the routes in force."""
        return self._confirmed

    def set(self, routes: Iterable[PipelineRoute]) -> None:
        """Put these routes in force, beside those of pipelines not named here."""
        wanted = {**self._routes, **{route.pipeline: route for route in routes}}
        text = self._render(wanted)
        # Before the routes: Envoy refuses a route to a cluster that it does not know.
        self._write_clusters(wanted)
        if wanted == self._routes and _on_disk(self._file) == text:
            return
        ordered = tuple(wanted[name] for name in sorted(wanted))
        # Remembered first: killed in between, the agent writes the same routes when it is back.
        write_atomically(self._state_file, _ROUTES.dump_json(ordered).decode())
        self._routes = wanted
        self._write(text)

    def confirm(self) -> None:
        """Ask Envoy which routes it uses; give it the file again where it missed the change."""
        now = time.monotonic()
        if self._confirmed and now - self._checked_at < _RECHECK_SECONDS:
            return
        text = self._render(self._routes)
        self._confirmed = self._envoy_uses(version_of(text))
        self._checked_at = now
        if not self._confirmed and now - self._written_at > _WRITE_AGAIN_SECONDS:
            self._write(text)

    def _write_clusters(self, pipelines: Iterable[str]) -> None:
        text = render_clusters(pipelines, self._upstreams)
        if _on_disk(self._clusters_file) != text:
            write_atomically(self._clusters_file, text)

    def _render(self, routes: dict[str, PipelineRoute]) -> str:
        clients = self._clients.current() if self._clients else None
        return render_routes(list(routes.values()), clients)

    def _write(self, text: str) -> None:
        # With clients the file holds their keys.
        write_atomically(self._file, text, mode=0o600 if self._clients else 0o644)
        self._written_at, self._confirmed = time.monotonic(), False
        _log.info("routes: %s", "; ".join(_shown(route) for route in self._routes.values()))

    def _envoy_uses(self, version: str) -> bool:
        url = f"http://{self._admin}/config_dump?resource=dynamic_route_configs"
        try:
            answer = self._client.get(url)
            used = {config.get("version_info") for config in answer.json().get("configs", ())}
        except (httpx.HTTPError, ValueError):
            return False
        return used == {version}

    def _remembered(self) -> tuple[PipelineRoute, ...]:
        try:
            return _ROUTES.validate_json(self._state_file.read_bytes())
        except (OSError, ValidationError):
            return ()


def _on_disk(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return None


def _shown(route: PipelineRoute) -> str:
    shares = [f"{route.weights.of(c)}% {c} (version {route.version(c)})" for c in route.colours]
    return f"{route.pipeline} to {', '.join(shares) or 'nothing yet'}"
