"""An Envoy with every door closed before two servers that show what reaches them."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import yaml

from nightshift.release.access import ListenerAccess
from nightshift.release.address import Address, Upstream
from nightshift.release.clients import parse_clients
from nightshift.release.clusters import CLUSTERS_FILE, render_clusters
from nightshift.release.envoy import EnvoyLayout, write_files
from nightshift.release.files import write_atomically
from nightshift.release.record import Colour, Weights
from nightshift.release.routes import ROUTES_FILE, PipelineRoute, render_routes, version_of
from nightshift.stack.certificates import Authority, Issued
from tests.integration.ports import free_port
from tests.integration.servers import ServerProcess, answers, tool, wait_until

HOST = "127.0.0.1"
LARGEST = 2_000_000
KEYS = {name: f"key-of-{name}-0123456789abcdef" for name in ("shop", "harbour", "slow")}
CLIENTS: list[dict[str, Any]] = [
    {"name": "shop", "pipelines": ["flights"], "keys": [KEYS["shop"]]},
    {"name": "harbour", "pipelines": ["boats"], "keys": [KEYS["harbour"]]},
    {"name": "slow", "pipelines": ["*"], "keys": [KEYS["slow"]], "requests_per_second": 3},
    {"name": "legacy", "pipelines": ["boats"]},
]
PREDICT = "/tensorflow.serving.PredictionService/Predict"
RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"


def asking(model: str) -> bytes:
    """A serialised request whose model_spec names a model."""
    name = b"\x0a" + bytes([len(model)]) + model.encode()
    return b"\x0a" + bytes([len(name)]) + name


class EchoRest:
    """Answers with the headers and the size of what it got."""

    def __init__(self) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                got = self.rfile.read(int(self.headers.get("content-length", 0)))
                seen = {name.lower(): value for name, value in self.headers.items()}
                body = json.dumps({"headers": seen, "bytes": len(got)}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.do_POST()

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


class EchoGrpc(grpc.GenericRpcHandler):
    """Answers any call with the metadata that it came with."""

    def __init__(self) -> None:
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((self,))
        self.port = self._server.add_insecure_port(f"{HOST}:0")
        self._server.start()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        seen = {name: str(value) for name, value in details.invocation_metadata}
        answer = json.dumps(seen).encode()
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer)

    def close(self) -> None:
        self._server.stop(0)


@dataclass
class Doors:
    """The Envoy, its authority, and clients of all kinds."""

    layout: EnvoyLayout
    authority: Authority
    envoy: ServerProcess
    upstream: Upstream
    routes: tuple[PipelineRoute, ...]
    clients: list[dict[str, Any]] = field(default_factory=lambda: list(CLIENTS))

    def admit(self, clients: list[dict[str, Any]]) -> None:
        """Have Envoy take these clients."""
        self.clients = clients
        parsed = parse_clients(yaml.safe_dump({"clients": clients}), "clients")
        text = render_routes(self.routes, parsed)
        names = [route.pipeline for route in self.routes]
        clusters = render_clusters(names, dict.fromkeys(Colour, self.upstream))
        write_atomically(self.layout.folder / CLUSTERS_FILE, clusters)

        def taken() -> bool:
            # As the agent does: routes that Envoy saw before their clusters are refused.
            write_atomically(self.layout.folder / ROUTES_FILE, text)
            time.sleep(0.05)
            return version_of(text) in self.dump()

        wait_until(taken, seconds=10, what="Envoy takes the routes")

    def dump(self) -> str:
        """The routes as Envoy shows them to its administrator."""
        url = f"http://{self.layout.admin}/config_dump?resource=dynamic_route_configs"
        return httpx.get(url).text

    def client(self, shown: Issued | None = None, folder: Path | None = None) -> httpx.Client:
        """A client that trusts the authority and may show a certificate."""
        trust = ssl.create_default_context(cafile=str(self.authority.certificate))
        if shown is not None:
            assert folder is not None
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "crt").write_text(shown.certificate)
            (folder / "key").write_text(shown.key)
            trust.load_cert_chain(folder / "crt", folder / "key")
        return httpx.Client(verify=trust, timeout=10, base_url=f"https://{self.layout.rest}")

    def ask(self, key: str | None, pipeline: str = "flights", **options: Any) -> httpx.Response:
        """One REST request."""
        headers = {"x-api-key": key} if key is not None else {}
        with self.client() as client:
            path = f"/v1/models/{pipeline}:predict"
            return client.post(path, headers={**headers, **options.pop("headers", {})}, **options)

    def call(
        self,
        key: str | None = None,
        pipeline: str = "flights",
        *,
        shown: Issued | None = None,
        body: bytes | None = None,
        header: bool = True,
        method: str = PREDICT,
    ) -> dict[str, str]:
        """One gRPC call; returns the metadata that reached the server.

        The request asks the pipeline's own model, unless a body is given.
        """
        trust = grpc.ssl_channel_credentials(
            self.authority.certificate.read_bytes(),
            shown.key.encode() if shown else None,
            shown.certificate.encode() if shown else None,
        )
        metadata = [("x-api-key", key)] if key else []
        if header:
            metadata.append(("x-nightshift-pipeline", pipeline))
        # By its authority where it sends no header; the certificate is held to its own name.
        options = [("grpc.ssl_target_name_override", "localhost")]
        if not header:
            options.append(("grpc.default_authority", pipeline))
        with grpc.secure_channel(str(self.layout.grpc), trust, options=options) as channel:
            sent = asking(pipeline) if body is None else body
            answer = channel.unary_unary(method)(sent, metadata=metadata, timeout=10)
            return dict(json.loads(answer))

    def refusals(self) -> list[dict[str, Any]]:
        """What Envoy has logged of refused requests and connections."""
        lines = (line for line in self.envoy.output.splitlines() if line.startswith("{"))
        return [json.loads(line) for line in lines]


@contextmanager
def open_doors(folder: Path, *, client_ca: bool = True) -> Iterator[Doors]:
    """Everything started, with the clients of :data:`CLIENTS`."""
    rest, calls = EchoRest(), EchoGrpc()
    upstream = Upstream(rest.address, Address(HOST, calls.port))
    with doors_before(upstream, ("boats", "flights"), CLIENTS, folder, client_ca) as doors:
        yield doors
    rest.close()
    calls.close()


@contextmanager
def doors_before(
    upstream: Upstream,
    pipelines: Sequence[str],
    clients: list[dict[str, Any]],
    folder: Path,
    client_ca: bool = True,
) -> Iterator[Doors]:
    """An Envoy with closed doors before servers that run."""
    authority = Authority(folder / "ca")
    authority.ensure_server(folder / "tls")
    layout = EnvoyLayout(
        rest=Address(HOST, free_port()),
        grpc=Address(HOST, free_port()),
        admin=Address(HOST, free_port()),
        folder=folder / "envoy",
        access=ListenerAccess(folder / "tls", client_ca, clients=True, max_request_bytes=LARGEST),
    )
    bootstrap = write_files(layout, layout.folder)
    command: list[str | Path] = [tool("envoy"), "-c", bootstrap, "--use-dynamic-base-id"]
    log = ["--log-level", "warning", "--concurrency", "2"]
    routes = tuple(
        PipelineRoute(pipeline=name, weights=Weights.all_to(Colour.BLUE), blue=1)
        for name in pipelines
    )
    with ServerProcess([*command, *log], folder / "envoy.log") as envoy:
        ready = f"http://{layout.admin}/ready"
        envoy.wait_for(lambda: answers(ready), seconds=20, what="Envoy is ready")
        doors = Doors(layout, authority, envoy, upstream, routes)
        doors.admit(clients)
        yield doors
