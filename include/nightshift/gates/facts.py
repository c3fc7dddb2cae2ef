"""What is known about the night beside the quality of its model."""

from __future__ import annotations

from dataclasses import dataclass

from nightshift.data.pinned import Split
from nightshift.data.reader import read_snapshot
from nightshift.definition.gates import Metric
from nightshift.evaluation.result import Evaluation
from nightshift.operators.allowed import SAVED_MODEL_FILE, forbidden_operators, unread_forms
from nightshift.steps.contract import StepContext

_MEGABYTE = 1e6
_HOLDOUT_DRIFT = "holdout_drift/"


@dataclass(frozen=True)
class Facts:
    """Facts of one night.

    Attributes:
        numbers: Those that rules can be about, as far as they are known.
        warnings: What the data report warns of.
        drifted: The column whose holdout is farthest from its train rows; empty where none is.
        forbidden: Operators of the model that no released model may have, and files that would be
            loaded unread.
    """

    numbers: dict[Metric, float]
    warnings: tuple[str, ...]
    drifted: str
    forbidden: tuple[str, ...] = ()
    """Operators of the model that no released model may have."""


def facts_of(context: StepContext, evaluation: Evaluation) -> Facts:
    """Read them from the manifests of the steps before."""
    snapshot = read_snapshot(context.store, context.input("snapshot"))
    statistics, model = context.input("statistics").manifest, context.input("train").manifest
    distances = {
        name.removeprefix(_HOLDOUT_DRIFT): value
        for name, value in statistics.metrics.items()
        if name.startswith(_HOLDOUT_DRIFT)
    }
    warnings = tuple(str(w) for w in statistics.facts.get("warnings", ()))
    forbidden = _forbidden(context)
    numbers = {
        Metric.HOLDOUT_ROWS: float(evaluation.overall.rows),
        Metric.TRAIN_ROWS: float(snapshot.rows(Split.TRAIN)),
        Metric.DATA_WARNINGS: float(len(warnings)),
        Metric.FORBIDDEN_OPERATORS: float(len(forbidden)),
        Metric.MODEL_MEGABYTES: sum(f.size for f in model.files.values()) / _MEGABYTE,
    }
    drifted = max(distances, key=lambda name: distances[name], default="")
    if drifted:
        numbers[Metric.HOLDOUT_DRIFT] = distances[drifted]
    champion = snapshot.baseline.champion
    if champion and evaluation.champion_version is not None:
        numbers[Metric.CHAMPION_AGE_DAYS] = float((evaluation.night - champion.night).days)
    return Facts(numbers, warnings, drifted, forbidden)


def _forbidden(context: StepContext) -> tuple[str, ...]:
    model = context.input("train")
    operators = forbidden_operators(context.store.read(model, SAVED_MODEL_FILE))
    return (*operators, *unread_forms(model.manifest.files))
