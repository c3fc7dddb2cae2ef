"""How a gate ends. Apart from the rules, so that what only reads a verdict imports no numbers."""

from __future__ import annotations

from enum import StrEnum


class GateVerdict(StrEnum):
    """May the candidate be released? ``facts["verdict"]`` of the gate's artifact."""

    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"
    """A person decides."""
    FAILED = "failed"
