"""Envoy's choice of requests by an expression, for its log and for the words of its refusals."""

from __future__ import annotations

from typing import Any

_CEL = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"


def where(expression: str) -> dict[str, Any]:
    """A filter that takes what an expression (CEL, over Envoy's attributes) is true of."""
    typed = {"@type": _CEL, "expression": expression}
    return {"extension_filter": {"name": "expression", "typed_config": typed}}
