"""What a search hands to training: parameters by name, in ``best.json`` of its artifact."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nightshift.definition.training import Scalar, Training

if TYPE_CHECKING:
    from nightshift.steps.contract import StepContext

BEST_FILE = "best.json"
TUNE = "tune"


def best_parameters(context: StepContext) -> dict[str, Scalar]:
    """The best parameters of the search before this step; empty where there was none."""
    if TUNE not in context.request.inputs:
        return {}
    best: dict[str, Scalar] = json.loads(context.store.read(context.input(TUNE), BEST_FILE))
    context.log.info("Tuned: %s", ", ".join(f"{n} {v}" for n, v in best.items()))
    return best


def with_best_parameters(context: StepContext) -> dict[str, Scalar]:
    """Let the step train with the best parameters: its request's ``training`` holds them now.

    Returns:
        The parameters, as :func:`best_parameters` gives them.
    """
    best = best_parameters(context)
    if best:
        training = context.request.section("training", Training).tuned(best)
        changed = {**context.request.parameters, "training": training.model_dump(mode="json")}
        context.request = context.request.model_copy(update={"parameters": changed})
    return best
