"""Which artifact of a night goes to the serving hosts: the model, or its accepted variant.

Imports nothing heavy: registration asks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.artifacts.store import ArtifactStore


@dataclass(frozen=True)
class ServedChoice:
    """What hosts load.

    Attributes:
        variant: The variant's artifact; None for the float model itself.
        rejected: Why the variant that was wanted is not it; empty otherwise.
    """

    variant: ArtifactRef | None
    rejected: str = ""


def choose_served(
    store: ArtifactStore, serve: str, made: Mapping[str, ArtifactRef]
) -> ServedChoice:
    """The variant that ``release.serve`` names, unless its budgets rejected it.

    Args:
        store: Where the verdicts lie.
        serve: ``float``, or a target.
        made: The night's artifacts by step: ``budgets`` and ``quantize.<target>``, where a variant
            is to be served.
    """
    if serve == "float":
        return ServedChoice(None)
    facts = store.open(made["budgets"]).manifest.facts
    if serve in facts["accepted"]:
        return ServedChoice(made[f"quantize.{serve}"])
    return ServedChoice(None, facts["rejected"].get(serve, "it was not judged"))
