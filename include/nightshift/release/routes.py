"""Envoy's routes: which colour answers for each pipeline, over REST and over gRPC.

One route table serves both listeners, so a change of colour is one atomic rename. REST names the
pipeline in its path (``/v1/models/<pipeline>…``). A gRPC request names it by the header
``x-nightshift-pipeline`` or by its ``:authority`` (``flights``, ``flights:8500`` or
``flights.anything``), for clients that cannot send headers; while there is only one pipeline,
one that names none goes to it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from nightshift.release import asked_model
from nightshift.release.access import guard, rates
from nightshift.release.clients import Clients
from nightshift.release.record import Colour, ReleaseRecord, Weights

ROUTES_NAME = "nightshift"
ROUTES_FILE = "routes.json"
PIPELINE_HEADER = "x-nightshift-pipeline"
COLOUR_HEADER = "x-nightshift-colour"
VERSION_HEADER = "x-nightshift-version"

_TIMEOUT = "60s"
_GRPC_PATH = "/tensorflow.serving."
# Only what never reached a server is sent again: anything more would hide a bad version.
_RETRY = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 2,
    "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
}


class _Grpc(IntEnum):
    """The gRPC status codes that Envoy answers with itself."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    UNAVAILABLE = 14


class PipelineRoute(BaseModel):
    """Where one pipeline's requests go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: str
    weights: Weights = Weights()
    """All 0 before the first release."""
    blue: int | None = None
    green: int | None = None
    """The version that each colour with traffic holds."""
    sticky_header: str = ""
    """Requests with the same value of this header go to the same colour."""

    @classmethod
    def wanted_by(cls, record: ReleaseRecord) -> PipelineRoute:
        """The route that a record asks for."""
        splits = record.request is not None and len(record.colours) > 1
        sticky = record.request.rollout.sticky_header if record.request and splits else ""
        route = cls(pipeline=record.pipeline, weights=record.weights, sticky_header=sticky)
        versions = {
            colour.value: slot.version
            for colour in route.colours
            if (slot := record.slot(colour)) is not None
        }
        return route.model_copy(update=versions)

    @classmethod
    def all_to(cls, pipeline: str, colour: Colour, version: int) -> PipelineRoute:
        """Everything to one colour."""
        route = cls(pipeline=pipeline, weights=Weights.all_to(colour))
        return route.model_copy(update={colour.value: version})

    @property
    def colours(self) -> tuple[Colour, ...]:
        """The colours that take traffic."""
        return tuple(colour for colour in Colour if self.weights.of(colour))

    def version(self, colour: Colour) -> int | None:
        """The version that a colour answers with; None where it takes no traffic."""
        return self.blue if colour is Colour.BLUE else self.green


def cluster(pipeline: str, colour: Colour, protocol: str) -> str:
    """Name of a pipeline's Envoy cluster on a colour; ``protocol`` is ``rest`` or ``grpc``.

    The servers are the same for every pipeline; clusters of their own give each its own metrics.
    """
    return f"{pipeline}-{colour}-{protocol}"


def render_routes(routes: Sequence[PipelineRoute], clients: Clients | None = None) -> str:
    """The route file's text: a discovery response with one route table.

    Args:
        routes: One per pipeline, in any order.
        clients: Who may ask them; None for everybody.
    """
    ordered = sorted(routes, key=lambda route: route.pipeline)
    found = [*_rest(ordered), *_grpc(ordered), _nothing_here()]
    table = {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": ROUTES_NAME,
        # A route to a cluster that does not exist is refused whole; the old routes stay.
        "validate_clusters": True,
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": found if clients is None else guard(found, clients),
                **({} if clients is None else rates(clients)),
            }
        ],
    }
    return json.dumps({"version_info": _version(table), "resources": [table]}, indent=1)


def version_of(text: str) -> str:
    """The version that Envoy reports once it has taken this route file."""
    return str(json.loads(text)["version_info"])


def _version(table: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:16]


def _rest(routes: Sequence[PipelineRoute]) -> list[dict[str, Any]]:
    found = []
    for route in routes:
        # The name must end where a segment or a verb does: `flights` is not `flights2`.
        path = f"/v1/models/{re.escape(route.pipeline)}([/:].*)?"
        action = _forward(route, "rest") or _rest_answer(503, _not_released(route))
        match = {"safe_regex": {"regex": path}}
        found.append({"name": route.pipeline, "match": match, **action})
    return found


def _grpc(routes: Sequence[PipelineRoute]) -> list[dict[str, Any]]:
    by_header = [_grpc_route(r, _header(PIPELINE_HEADER, re.escape(r.pipeline))) for r in routes]
    names = ", ".join(route.pipeline for route in routes) or "none yet"
    foreign = {
        "match": _grpc_match({"name": PIPELINE_HEADER, "present_match": True}),
        **_grpc_answer(
            _Grpc.NOT_FOUND,
            f"no pipeline has the name that {PIPELINE_HEADER} says; there are: {names}",
        ),
    }
    by_authority = [
        _grpc_route(r, _header(":authority", f"{re.escape(r.pipeline)}([.:].*)?")) for r in routes
    ]
    return [*by_header, foreign, *by_authority, _grpc_unnamed(routes, names)]


def _grpc_unnamed(routes: Sequence[PipelineRoute], names: str) -> dict[str, Any]:
    if len(routes) == 1:
        return _grpc_route(routes[0])
    why = (
        f"name the pipeline by the header {PIPELINE_HEADER} or by the channel's authority "
        f"(grpc.default_authority); there are: {names}"
    )
    code = _Grpc.INVALID_ARGUMENT if routes else _Grpc.UNAVAILABLE
    return {"match": _grpc_match(), **_grpc_answer(code, why)}


def _grpc_route(route: PipelineRoute, *headers: dict[str, Any]) -> dict[str, Any]:
    unreleased = _grpc_answer(_Grpc.UNAVAILABLE, _not_released(route))
    forward = _forward(route, "grpc")
    action = {**forward, **asked_model.only(route.pipeline)} if forward else unreleased
    return {"name": route.pipeline, "match": _grpc_match(*headers), **action}


def _grpc_match(*headers: dict[str, Any]) -> dict[str, Any]:
    return {"prefix": _GRPC_PATH, "grpc": {}, "headers": list(headers)}


def _header(name: str, regex: str) -> dict[str, Any]:
    return {"name": name, "string_match": {"safe_regex": {"regex": regex}}}


def _forward(route: PipelineRoute, protocol: str) -> dict[str, Any] | None:
    if not route.colours:
        return None
    return {
        "route": {
            "timeout": _TIMEOUT,
            "retry_policy": _RETRY,
            **_sticky(route),
            "weighted_clusters": {
                **({"use_hash_policy": True} if route.sticky_header else {}),
                "clusters": [
                    {
                        "name": cluster(route.pipeline, colour, protocol),
                        "weight": route.weights.of(colour),
                        "response_headers_to_add": [
                            _set(COLOUR_HEADER, colour.value),
                            _set(VERSION_HEADER, str(route.version(colour))),
                        ],
                    }
                    for colour in route.colours
                ],
            },
        }
    }


def _sticky(route: PipelineRoute) -> dict[str, Any]:
    if not route.sticky_header:
        return {}
    # A request without the header has no hash: Envoy then decides by chance.
    return {"hash_policy": [{"header": {"header_name": route.sticky_header}}]}


def _not_released(route: PipelineRoute) -> str:
    return f"no version of {route.pipeline} is released yet"


def _nothing_here() -> dict[str, Any]:
    why = "nothing here; ask /v1/models/<pipeline> of a pipeline that has been released"
    return {"match": {"prefix": "/"}, **_rest_answer(404, why)}


def _rest_answer(status: int, message: str) -> dict[str, Any]:
    """An answer in the form that TensorFlow Serving gives its own errors."""
    return {
        "direct_response": {
            "status": status,
            "body": {"inline_string": json.dumps({"error": message})},
        },
        "response_headers_to_add": [_set("content-type", "application/json")],
    }


def _grpc_answer(code: _Grpc, message: str) -> dict[str, Any]:
    """Envoy turns the body into grpc-message; of the HTTP status it would make another code."""
    return {
        "direct_response": {"status": 503, "body": {"inline_string": message}},
        "response_headers_to_add": [_set("grpc-status", str(int(code)))],
    }


def _set(name: str, value: str) -> dict[str, Any]:
    return {
        "header": {"key": name, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
