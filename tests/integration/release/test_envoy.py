"""The real Envoy with the files that the project writes for it."""

from __future__ import annotations

import http.server
import itertools
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from nightshift.release.address import Address, Upstream
from nightshift.release.clusters import CLUSTERS_FILE, render_clusters
from nightshift.release.envoy import EnvoyLayout, write_files
from nightshift.release.files import write_atomically
from nightshift.release.record import Colour, Weights
from nightshift.release.routes import ROUTES_FILE, PipelineRoute, render_routes
from tests.integration.ports import free_port
from tests.integration.servers import ServerProcess, answers, tool, wait_until

HOST = "127.0.0.1"


class EchoServer:
    """An HTTP server that answers with its colour's name, in place of a model server."""

    def __init__(self, name: str) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = name.encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> Address:
        return Address(HOST, self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Edge:
    """An Envoy before two echo servers."""

    layout: EnvoyLayout
    folder: Path
    upstreams: dict[Colour, Upstream]
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=5))

    def route(self, *routes: PipelineRoute) -> None:
        text = render_routes(routes)
        clusters = render_clusters([route.pipeline for route in routes], self.upstreams)
        write_atomically(self.folder / CLUSTERS_FILE, clusters)

        def taken() -> bool:
            # As the agent does: routes that Envoy saw before their clusters are refused.
            write_atomically(self.folder / ROUTES_FILE, text)
            time.sleep(0.05)
            return json.loads(text)["version_info"] in self.dump()

        wait_until(taken, seconds=10, what="routes")

    def dump(self) -> str:
        url = f"http://{self.layout.admin}/config_dump?resource=dynamic_route_configs"
        return self.client.get(url).text

    def rejected(self) -> int:
        """Route files that Envoy has refused."""
        url = f"http://{self.layout.admin}/stats?filter=rds.*update_rejected&format=json"
        return sum(stat["value"] for stat in self.client.get(url).json()["stats"])

    def get(self, path: str) -> httpx.Response:
        return self.client.get(f"http://{self.layout.rest}{path}")


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    folder = tmp_path_factory.mktemp("envoy")
    servers = {colour: EchoServer(colour.value) for colour in Colour}
    layout = EnvoyLayout(
        rest=Address(HOST, free_port()),
        grpc=Address(HOST, free_port()),
        admin=Address(HOST, free_port()),
        folder=folder / "config",
    )
    bootstrap = write_files(layout, layout.folder)
    upstreams = {c: Upstream(s.address, s.address) for c, s in servers.items()}
    command: list[str | Path] = [tool("envoy"), "-c", bootstrap, "--use-dynamic-base-id"]
    with ServerProcess(command, folder / "envoy.log") as envoy:
        ready = f"http://{layout.admin}/ready"
        envoy.wait_for(lambda: answers(ready), seconds=20, what="Envoy is ready")
        yield Edge(layout, layout.folder, upstreams)
    for server in servers.values():
        server.close()


def live(pipeline: str, colour: Colour, version: int) -> PipelineRoute:
    route = PipelineRoute(pipeline=pipeline, weights=Weights.all_to(colour))
    return route.model_copy(update={colour.value: version})


def test_before_any_release_the_answer_says_so(edge: Edge) -> None:
    edge.route(PipelineRoute(pipeline="flights"))
    answer = edge.get("/v1/models/flights")
    assert answer.status_code == 503
    assert answer.json() == {"error": "no version of flights is released yet"}
    assert edge.get("/v1/models/other").status_code == 404


def test_the_live_colour_answers_and_is_named_in_headers(edge: Edge) -> None:
    edge.route(live("flights", Colour.GREEN, 7))
    answer = edge.get("/v1/models/flights/versions/7")
    assert answer.text == "green"
    assert answer.headers["x-nightshift-colour"] == "green"
    assert answer.headers["x-nightshift-version"] == "7"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/flights", 200),
        ("/v1/models/flights:predict", 200),
        ("/v1/models/flights/metadata", 200),
        ("/v1/models/flights2", 404),
        ("/v1/models/flights-late/metadata", 404),
        ("/v2/models/flights", 404),
    ],
)
def test_a_pipeline_is_its_whole_name(edge: Edge, path: str, status: int) -> None:
    edge.route(live("flights", Colour.BLUE, 1))
    assert edge.get(path).status_code == status


def test_pipelines_have_colours_of_their_own(edge: Edge) -> None:
    edge.route(live("flights", Colour.BLUE, 1), live("fashion", Colour.GREEN, 4))
    assert edge.get("/v1/models/flights").text == "blue"
    assert edge.get("/v1/models/fashion").text == "green"


def test_a_route_to_an_unknown_cluster_is_refused_and_the_old_one_stays(edge: Edge) -> None:
    edge.route(live("flights", Colour.BLUE, 1))
    before = edge.rejected()
    broken = render_routes([live("flights", Colour.GREEN, 2)]).replace("green-rest", "gren-rest")
    write_atomically(edge.folder / ROUTES_FILE, broken)
    wait_until(lambda: edge.rejected() > before, seconds=5, what="Envoy reports the error")
    assert edge.get("/v1/models/flights").text == "blue"


def test_no_request_fails_while_routes_change(edge: Edge) -> None:
    edge.route(live("flights", Colour.BLUE, 1))
    statuses: list[int] = []
    stop = threading.Event()

    def client() -> None:
        with httpx.Client(timeout=5) as session:
            while not stop.is_set():
                url = f"http://{edge.layout.rest}/v1/models/flights"
                statuses.append(session.get(url).status_code)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in itertools.count():
        edge.route(live("flights", list(Colour)[number % 2], number))
        if number >= 20 and len(statuses) > 500:
            break
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}
