"""Who is let in at Envoy: TLS, client keys and certificates, limits. All of it optional.

What is fixed lies in the bootstrap file: that a listener speaks TLS, that clients must say who
they are, how large a request may be. What changes lies in files that Envoy watches: certificates
in their own folder, keys and rates in the route file (:func:`guard`), which the agent writes from
the clients file (:mod:`nightshift.release.clients`). So nothing here needs a restart.

=============================  =====  ==================
what is wrong                  REST   gRPC
=============================  =====  ==================
no key, or an unknown one      401    UNAUTHENTICATED
another pipeline's client      403    PERMISSION_DENIED
another pipeline's model              PERMISSION_DENIED
too many requests              429    RESOURCE_EXHAUSTED
too large a request            413    RESOURCE_EXHAUSTED
=============================  =====  ==================

A client is told by its key, or by the name in its certificate, when Envoy chooses the route: a
route of the pipeline for each client that may ask it, a refusal for each that may not. (Envoy's
filter ``api_key_auth`` does the same; Envoy calls it work in progress, outside its threat model,
and writes a warning for every key at every change of routes.) A certificate that the client CA
did not sign, or that has expired, ends the connection in its handshake. Every refusal is a line
in Envoy's log, which never has a key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightshift.release import asked_model
from nightshift.release.clients import Client, Clients
from nightshift.release.expression import where

KEY_HEADER = "x-api-key"
CLIENT_HEADER = "x-nightshift-client"
"""The name in a client's certificate, set by Envoy; what a client sends by this name is dropped."""
CERTIFICATE_FILE = "tls.crt"
KEY_FILE = "tls.key"
CLIENT_CA_FILE = "client-ca.crt"

_HTTP = "type.googleapis.com/envoy.extensions.filters.http"
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_LOG = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
_EARLY = (
    "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3"
    ".HeaderMutation"
)
_SERVER, _CLIENT_CA = "tls-server", "tls-client-ca"
_RATES, _METADATA = "nightshift.rates", "nightshift"
_UNLIMITED = 1_000_000_000
_UNAUTHENTICATED, _PERMISSION_DENIED, _RESOURCE_EXHAUSTED = 16, 7, 8


@dataclass(frozen=True)
class ListenerAccess:
    """What both client listeners ask of a client. By default nothing.

    Attributes:
        certificates: Folder with ``tls.crt`` and ``tls.key``, as Envoy sees it; None for plain
            text.
        client_ca: Whether the folder also has ``client-ca.crt``, which signs clients'
            certificates.
        clients: Whether a client must be one of the clients file.
        max_request_bytes: Largest body of a request; it is held in memory until it is whole.
    """

    certificates: Path | None = None
    client_ca: bool = False
    clients: bool = False
    max_request_bytes: int | None = None


# --- Fixed: the bootstrap file ----------------------------------------------------------------


def transport_socket(access: ListenerAccess, folder: Path) -> dict[str, Any]:
    """What to add to a listener's filter chain.

    Args:
        access: What is asked.
        folder: The folder of :func:`secret_files`, as Envoy sees it.
    """
    if access.certificates is None:
        return {}
    common: dict[str, Any] = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificate_sds_secret_configs": [_secret(_SERVER, folder)],
    }
    tls: dict[str, Any] = {"@type": f"{_TLS}.DownstreamTlsContext", "common_tls_context": common}
    if access.client_ca:
        common["validation_context_sds_secret_config"] = _secret(_CLIENT_CA, folder)
        tls["require_client_certificate"] = False
        # Envoy does not check the certificate of a resumed session again.
        tls["disable_stateless_session_resumption"] = True
        tls["disable_stateful_session_resumption"] = True
    return {"transport_socket": {"name": "tls", "typed_config": tls}}


def secret_files(access: ListenerAccess) -> dict[str, str]:
    """Files beside the routes that say where certificates lie and which folder to watch.

    Envoy reads one secret a file.
    """
    folder = access.certificates
    if folder is None:
        return {}
    server = {
        "certificate_chain": {"filename": str(folder / CERTIFICATE_FILE)},
        "private_key": {"filename": str(folder / KEY_FILE)},
    }
    found = {_SERVER: {"tls_certificate": server}}
    if access.client_ca:
        ca = {"trusted_ca": {"filename": str(folder / CLIENT_CA_FILE)}}
        found[_CLIENT_CA] = {"validation_context": ca}
    watched = {"watched_directory": {"path": str(folder)}}
    return {
        f"{name}.json": json.dumps(
            {
                "resources": [
                    {
                        "@type": f"{_TLS}.Secret",
                        "name": name,
                        **{kind: {**files, **watched} for kind, files in secret.items()},
                    }
                ]
            },
            indent=1,
        )
        for name, secret in found.items()
    }


def filters(access: ListenerAccess) -> list[dict[str, Any]]:
    """HTTP filters that come before all others: what they refuse is counted as nobody's failure."""
    found = []
    if access.clients:
        # The route is chosen by now: nobody behind needs the key.
        strip = {"mutations": {"request_mutations": [{"remove": KEY_HEADER}]}}
        kind = f"{_HTTP}.header_mutation.v3.HeaderMutation"
        found.append({"name": "nightshift.guarded", "typed_config": _only_guarded_routes()})
        found.append({"name": "nightshift.strip", "typed_config": {"@type": kind, **strip}})
        found.append({"name": _RATES, "typed_config": _rate_limits([])})
    if access.max_request_bytes is not None:
        kind, size = f"{_HTTP}.buffer.v3.Buffer", access.max_request_bytes
        typed = {"@type": kind, "max_request_bytes": size}
        found.append({"name": "nightshift.size", "typed_config": typed})
    return found


def manager_options(access: ListenerAccess) -> dict[str, Any]:
    """What to add to the HTTP connection manager: names of clients, and a line for each refusal."""
    options: dict[str, Any] = {}
    if access.clients:
        options["early_header_mutation_extensions"] = [_names_from_certificates()]
    if access.clients or access.max_request_bytes is not None:
        options["access_log"] = [_log_line(_is_refused(), _REQUEST_LINE)]
    return options


def words(access: ListenerAccess) -> list[dict[str, Any]]:
    """What is said to whoever is refused, as mappers of Envoy's own answers."""
    said = {429: "too many requests of this client; wait a second"}
    if access.max_request_bytes is not None:
        said[413] = f"the request is larger than {access.max_request_bytes} bytes"
    return [make(status, text) for status, text in said.items() for make in (_grpc_words, _words)]


def listener_options(access: ListenerAccess) -> dict[str, Any]:
    """What to add to a listener: a line for each handshake that fails."""
    if access.certificates is None:
        return {}
    return {"access_log": [_log_line(_HANDSHAKE_FAILED, _CONNECTION_LINE)]}


# --- Changing: the route file -----------------------------------------------------------------


def guard(routes: Sequence[dict[str, Any]], clients: Clients) -> list[dict[str, Any]]:
    """The same routes, open to the clients of their pipeline alone.

    Args:
        routes: Envoy's routes; ``name`` is the pipeline. One without a name is for every client.
        clients: Who there is.
    """
    return [guarded for route in routes for guarded in _guard(route, clients)]


def _guard(route: dict[str, Any], clients: Clients) -> Iterator[dict[str, Any]]:
    pipeline, speaks_grpc = route.get("name"), "grpc" in route["match"]
    allowed = [c for c in clients.clients if pipeline is None or c.may_ask(pipeline)]
    for client in allowed:
        for shown in _shown(client):
            yield _for(client.name, _narrowed(route, shown), _action(route))
    for client in clients.clients:
        if client not in allowed:
            action = _refusal(403, f"client {client.name} may not ask {pipeline}", speaks_grpc)
            for shown in _shown(client):
                yield _for(client.name, _narrowed(route, shown), action)
    stranger = f"no client has the name in this certificate, or it may not ask {pipeline}"
    present = {"name": CLIENT_HEADER, "present_match": True}
    yield _for("", _narrowed(route, present), _refusal(403, stranger, speaks_grpc))
    yield _for("", _narrowed(route), _refusal(401, _WHO, speaks_grpc))


def _shown(client: Client) -> Iterator[dict[str, Any]]:
    """What a client may show, as matches of headers."""
    yield {"name": CLIENT_HEADER, "string_match": {"exact": client.name}}
    # A route for each key: one expression of several would soon be too long for Envoy.
    for key in client.keys:
        yield {"name": KEY_HEADER, "string_match": {"exact": key}}


def _for(name: str, place: dict[str, Any], action: dict[str, Any]) -> dict[str, Any]:
    """A route of one client, or of nobody; the name is what rates and log lines go by."""
    return {**place, "metadata": {"filter_metadata": {_METADATA: {"client": name}}}, **action}


def _narrowed(route: dict[str, Any], *shown: dict[str, Any]) -> dict[str, Any]:
    match = route["match"]
    place = {"match": {**match, "headers": [*match.get("headers", ()), *shown]}}
    return {"name": route["name"], **place} if "name" in route else place


def _action(route: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in route.items() if key not in ("name", "match")}


def _refusal(status: int, why: str, speaks_grpc: bool) -> dict[str, Any]:
    if speaks_grpc:
        code = _UNAUTHENTICATED if status == 401 else _PERMISSION_DENIED
        body, headers = why, {"grpc-status": str(code)}
    else:
        body, headers = json.dumps({"error": why}), {"content-type": "application/json"}
    return {
        "direct_response": {"status": status, "body": {"inline_string": body}},
        "response_headers_to_add": [_overwritten(*header) for header in headers.items()],
    }


def rates(clients: Clients) -> dict[str, Any]:
    """What to add to the virtual host: each client's bucket, one for all its routes."""
    return {"typed_per_filter_config": {_RATES: _rate_limits(clients.clients)}}


def _rate_limits(clients: Sequence[Client]) -> dict[str, Any]:
    limited = [(c.name, c.requests_per_second) for c in clients if c.requests_per_second]
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    by_client = {
        "metadata": {
            "descriptor_key": "client",
            "metadata_key": {"key": _METADATA, "path": [{"key": "client"}]},
            "source": "ROUTE_ENTRY",
            "skip_if_absent": True,
        }
    }
    return {
        "@type": f"{_HTTP}.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "clients",
        "token_bucket": _bucket(_UNLIMITED),
        "filter_enabled": always,
        "filter_enforced": always,
        "always_consume_default_token_bucket": False,
        "rate_limited_as_resource_exhausted": True,
        "rate_limits": [{"actions": [by_client]}],
        "descriptors": [
            {"entries": [{"key": "client", "value": name}], "token_bucket": _bucket(rate)}
            for name, rate in limited
        ],
    }


def _bucket(rate: int) -> dict[str, Any]:
    return {"max_tokens": rate, "tokens_per_fill": rate, "fill_interval": "1s"}


# --- Parts ------------------------------------------------------------------------------------


def _secret(name: str, folder: Path) -> dict[str, Any]:
    source = {"path": str(folder / f"{name}.json"), "watched_directory": {"path": str(folder)}}
    config = {"resource_api_version": "V3", "path_config_source": source}
    return {"name": name, "sds_config": config}


def _names_from_certificates() -> dict[str, Any]:
    """Before the route is chosen: who the certificate says, and nobody by the client's own word."""
    named = _overwritten(CLIENT_HEADER, "%DOWNSTREAM_PEER_DNS_SAN%")
    typed = {"@type": _EARLY, "mutations": [{"remove": CLIENT_HEADER}, {"append": named}]}
    return {"name": "nightshift.names", "typed_config": typed}


def _only_guarded_routes() -> dict[str, Any]:
    """Routes that nobody has guarded answer nobody: an agent may have been told of no clients."""
    guarded = {
        "metadata_matcher": {
            "filter": _METADATA,
            "path": [{"key": "client"}],
            "value": {"present_match": True},
        },
        "metadata_source": "ROUTE",
    }
    policy = {"permissions": [{"any": True}], "principals": [{"sourced_metadata": guarded}]}
    rules = {"action": "ALLOW", "policies": {"guarded": policy}}
    return {"@type": f"{_HTTP}.rbac.v3.RBAC", "rules": rules}


def _words(status: int, text: str) -> dict[str, Any]:
    """An answer in the form that TensorFlow Serving gives its own errors."""
    return {
        "filter": _status_is(status),
        "body": {"inline_string": text},
        "body_format_override": {
            "json_format": {"error": "%LOCAL_REPLY_BODY%"},
            "content_type": "application/json",
        },
    }


def _grpc_words(status: int, text: str) -> dict[str, Any]:
    header = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    both = [_status_is(status), {"header_filter": {"header": header}}]
    return {
        "filter": {"and_filter": {"filters": both}},
        "body": {"inline_string": text},
        "body_format_override": {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}},
        # Of 413 Envoy would make UNKNOWN.
        "headers_to_add": [_overwritten("grpc-status", str(_RESOURCE_EXHAUSTED))],
    }


def _overwritten(name: str, value: str) -> dict[str, Any]:
    return {
        "header": {"key": name, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def _status_is(status: int) -> dict[str, Any]:
    value = {"default_value": status, "runtime_key": "nightshift.never_set"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _is_refused() -> dict[str, Any]:
    codes = ["UNAUTHENTICATED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED"]
    by_code = {"grpc_status_filter": {"statuses": codes}}
    by_status = [_status_is(status) for status in (401, 403, 413, 429)]
    return {"or_filter": {"filters": [*by_status, by_code]}}


_WHO = f"unknown client: show a key in the header {KEY_HEADER}, or a client certificate"
_REQUEST_LINE = {
    "time": "%START_TIME%",
    "refused": "%RESPONSE_CODE_DETAILS%",
    "status": "%RESPONSE_CODE%",
    "grpc_status": "%GRPC_STATUS%",
    "client": f"%METADATA(ROUTE:{_METADATA}:client)%",
    "certificate": "%DOWNSTREAM_PEER_DNS_SAN%",
    "pipeline": "%ROUTE_NAME%",
    "path": "%PATH(NQ)%",
    "from": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "asked": f"%DYNAMIC_METADATA({asked_model.READ}:{asked_model.NAME})%",
    "bytes": "%BYTES_RECEIVED%",
}
_CONNECTION_LINE = {
    "time": "%START_TIME%",
    "refused": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
    "certificate": "%DOWNSTREAM_PEER_SUBJECT%",
    "from": "%DOWNSTREAM_REMOTE_ADDRESS%",
}
_HANDSHAKE_FAILED = where("connection.transport_failure_reason != ''")


def _log_line(chosen: dict[str, Any], line: dict[str, str]) -> dict[str, Any]:
    typed = {"@type": _LOG, "log_format": {"json_format": line}}
    return {"name": "stdout", "typed_config": typed, "filter": chosen}
