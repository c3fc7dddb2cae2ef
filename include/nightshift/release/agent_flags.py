"""The agent's configuration: flags, each with an environment variable of the same name.

``--models-dir`` is ``NIGHTSHIFT_AGENT_MODELS_DIR``, and so on; a flag wins.
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nightshift.release.address import Address, Upstream
from nightshift.release.controller import DEFAULT_SILENT_AFTER
from nightshift.release.layout import HostLayout
from nightshift.release.lease import DEFAULT_TTL
from nightshift.release.record import Colour

PREFIX = "NIGHTSHIFT_AGENT_"


@dataclass(frozen=True)
class AgentFlags:
    """Everything that an agent is told.

    Attributes:
        host: Name of this host; no other host has it.
        layout: Its folders.
        servers: Each colour's model server.
        envoy_admin: Envoy's administration address.
        listen: Address of this machine that the local API listens on.
        port: Port of the local API; None for none.
        token_file: File with the local API's token.
        clients_file: Who may ask the models; None for everybody.
        trusted_keys: Public keys of which one must have signed a version; None where nothing is.
        metrics_token_file: File with the token that opens ``/metrics`` alone.
        poll: Seconds between two looks at the log.
        lease_ttl: Seconds after which a silent leader is replaced.
        silent_after: Seconds after which a silent host is left out of a step.
        record_seconds: Seconds after which sampled requests are written to the lake.
        tracking_uri: MLflow's address for the aliases; empty for none.
        prometheus: URL of a Prometheus that scrapes Envoy; empty to ask Envoy itself.
        prometheus_matching: Labels that tell this host's Envoy from others', in PromQL.
    """

    host: str
    layout: HostLayout
    servers: Mapping[Colour, Upstream]
    envoy_admin: Address
    listen: str
    port: int | None
    token_file: Path | None
    clients_file: Path | None
    trusted_keys: Path | None
    metrics_token_file: Path | None
    poll: float
    lease_ttl: float
    silent_after: float
    record_seconds: float
    tracking_uri: str
    prometheus: str
    prometheus_matching: str

    def token(self) -> str:
        """The local API's token: from its file, or from ``NIGHTSHIFT_AGENT_TOKEN``."""
        return _token(self.token_file, "TOKEN")

    def metrics_token(self) -> str:
        """The token for ``/metrics``: its file's, or ``NIGHTSHIFT_AGENT_METRICS_TOKEN``."""
        return _token(self.metrics_token_file, "METRICS_TOKEN")


def _token(file: Path | None, variable: str) -> str:
    if file is None:
        return os.environ.get(f"{PREFIX}{variable}", "")
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def parse_flags(arguments: Sequence[str]) -> AgentFlags:
    """Read flags and environment; a wrong one ends the process with code 2 and one line."""
    given = _parser().parse_args(arguments)
    models = given.models_dir.absolute()
    return AgentFlags(
        host=given.host,
        layout=HostLayout(
            models=models,
            served_models=given.served_models_dir or models,
            state=given.state_dir.absolute(),
            routes=given.envoy_dir.absolute(),
        ),
        servers={
            c: Upstream(getattr(given, f"{c}_rest"), getattr(given, f"{c}_grpc")) for c in Colour
        },
        envoy_admin=given.envoy_admin,
        listen=given.listen,
        port=given.port,
        token_file=given.token_file,
        clients_file=given.clients_file,
        trusted_keys=given.trusted_keys,
        metrics_token_file=given.metrics_token_file,
        poll=given.poll_seconds,
        lease_ttl=given.lease_ttl_seconds,
        silent_after=given.silent_after_seconds,
        record_seconds=given.record_seconds,
        tracking_uri=given.mlflow_tracking_uri or "",
        prometheus=given.prometheus,
        prometheus_matching=given.prometheus_matching,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nightshift.release.agent",
        description="Makes the release log so on one serving host. Addresses are host:port. "
        "S3 comes from the environment: AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY, NIGHTSHIFT_BUCKET.",
    )
    _add_host(parser)
    _add_times(parser)
    return parser


def _add_host(parser: argparse.ArgumentParser) -> None:
    default = socket.gethostname()
    _add(parser, "host", str, "name of this host, its own among all hosts", default=default)
    _add(parser, "models-dir", Path, "folder shared with the model servers", required=True)
    _add(parser, "served-models-dir", Path, "the same folder as the model servers see it")
    _add(parser, "state-dir", Path, "the agent's own folder; keep it over restarts", required=True)
    _add(parser, "envoy-dir", Path, "folder that Envoy watches for routes", required=True)
    _add(parser, "envoy-admin", Address.parse, "Envoy's administration", required=True)
    for colour in Colour:
        for protocol in ("rest", "grpc"):
            text = f"{protocol} address of the {colour} model server, for the agent and for Envoy"
            _add(parser, f"{colour}-{protocol}", Address.parse, text, required=True)
    text = "address that the local API listens on: never one that clients reach"
    _add(parser, "listen", str, text, default="127.0.0.1")
    _add(parser, "port", int, "port of the local API; none by default")
    _add(parser, "token-file", Path, f"file with the local API's token, or {PREFIX}TOKEN")
    _add(parser, "clients-file", Path, "who may ask the models; everybody without it")
    text = "folder of public keys (*.pub); without it versions need no signature"
    _add(parser, "trusted-keys", Path, text)
    text = f"file with the token that opens /metrics alone, or {PREFIX}METRICS_TOKEN"
    _add(parser, "metrics-token-file", Path, text)
    tracking = os.environ.get("MLFLOW_TRACKING_URI")
    text = "MLflow, for the aliases; none by default"
    _add(parser, "mlflow-tracking-uri", str, text, default=tracking)
    text = "Prometheus that scrapes Envoy; without it Envoy is asked itself"
    _add(parser, "prometheus", str, text, default="")
    text = "labels that tell this host's Envoy from others', such as instance=\"one:9901\""
    _add(parser, "prometheus-matching", str, text, default="")


def _add_times(parser: argparse.ArgumentParser) -> None:
    _add(parser, "poll-seconds", float, "between two looks at the log", default=0.5)
    text = "after which a silent leader is replaced"
    _add(parser, "lease-ttl-seconds", float, text, default=DEFAULT_TTL)
    text = "after which sampled requests are written to the lake"
    _add(parser, "record-seconds", float, text, default=600.0)
    text = "after which a silent host is left out"
    _add(parser, "silent-after-seconds", float, text, default=DEFAULT_SILENT_AFTER)


def _add(
    parser: argparse.ArgumentParser,
    name: str,
    type_: object,
    text: str,
    *,
    required: bool = False,
    default: object = None,
) -> None:
    from_environment = os.environ.get(PREFIX + name.upper().replace("-", "_"))
    parser.add_argument(
        f"--{name}",
        type=type_,  # type: ignore[arg-type]
        default=from_environment if from_environment is not None else default,
        required=required and from_environment is None,
        help=text,
    )
