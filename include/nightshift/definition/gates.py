"""What is measured of a candidate, and the rules that decide about its release."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from nightshift.definition.section import Section


class Metric(StrEnum):
    """Everything that a gate can judge."""

    AUC = "auc"
    PR_AUC = "pr_auc"
    LOG_LOSS = "log_loss"
    ACCURACY = "accuracy"
    PRECISION = "precision"
    RECALL = "recall"
    CALIBRATION_ERROR = "calibration_error"

    SELECTION_RATE_RATIO = "selection_rate_ratio"
    SELECTION_RATE_GAP = "selection_rate_gap"
    TPR_GAP = "tpr_gap"
    FPR_GAP = "fpr_gap"
    CALIBRATION_GAP = "calibration_gap"

    FLIP_RATE = "flip_rate"

    HOLDOUT_ROWS = "holdout_rows"
    TRAIN_ROWS = "train_rows"
    CHAMPION_AGE_DAYS = "champion_age_days"
    HOLDOUT_DRIFT = "holdout_drift"
    DATA_WARNINGS = "data_warnings"
    MODEL_MEGABYTES = "model_megabytes"
    FORBIDDEN_OPERATORS = "forbidden_operators"

    @property
    def higher_is_better(self) -> bool:
        """Direction in which the metric improves."""
        return self not in _LOWER_IS_BETTER

    @property
    def is_fairness(self) -> bool:
        """Whether it compares a group of people with the rest."""
        return self in FAIRNESS

    @property
    def is_fact(self) -> bool:
        """Whether it is a fact about the night, known without error, not a quality of rows."""
        return self in FACTS

    @property
    def display_name(self) -> str:
        """Its name as people write it."""
        known = {"auc": "AUC", "pr_auc": "PR-AUC", "tpr_gap": "TPR gap", "fpr_gap": "FPR gap"}
        return known.get(self.value, self.value.replace("_", " "))


OF_CLASSES = (Metric.ACCURACY, Metric.LOG_LOSS, Metric.FLIP_RATE)
"""What is measured of rows where the label has classes."""
MAIN = (Metric.AUC, Metric.LOG_LOSS, Metric.ACCURACY)
"""What is measured of every model and every compressed variant."""
QUALITY = (
    *(Metric.AUC, Metric.PR_AUC, Metric.LOG_LOSS, Metric.ACCURACY),
    *(Metric.PRECISION, Metric.RECALL, Metric.CALIBRATION_ERROR),
)
"""What is measured of one model on any rows."""
FAIRNESS = (
    *(Metric.SELECTION_RATE_RATIO, Metric.SELECTION_RATE_GAP, Metric.TPR_GAP),
    *(Metric.FPR_GAP, Metric.CALIBRATION_GAP),
)
"""What is measured of one model on a group against the rest of the rows."""
FACTS = (
    *(Metric.HOLDOUT_ROWS, Metric.TRAIN_ROWS, Metric.CHAMPION_AGE_DAYS),
    *(Metric.HOLDOUT_DRIFT, Metric.DATA_WARNINGS, Metric.MODEL_MEGABYTES),
    Metric.FORBIDDEN_OPERATORS,
)
"""What is known about the night; no comparison with the champion, no interval."""
_LOWER_IS_BETTER = frozenset(
    {
        *(Metric.LOG_LOSS, Metric.CALIBRATION_ERROR, Metric.FLIP_RATE),
        *(Metric.SELECTION_RATE_GAP, Metric.TPR_GAP, Metric.FPR_GAP, Metric.CALIBRATION_GAP),
        *(Metric.CHAMPION_AGE_DAYS, Metric.HOLDOUT_DRIFT, Metric.DATA_WARNINGS),
        *(Metric.MODEL_MEGABYTES, Metric.FORBIDDEN_OPERATORS),
    }
)


def main_metric(rules: Sequence[GateRule]) -> Metric:
    """The quality that the first such rule judges: the one that a table of nights shows."""
    return next(rule.metric for rule in rules if rule.metric in MAIN)


class Measuring(Section):
    """How the holdout is measured (section ``evaluation``)."""

    min_slice_size: Annotated[int, Field(ge=1)] = 200
    """Groups with fewer rows are listed and not judged."""
    replicates: Annotated[int, Field(ge=200, le=100_000)] = 1000
    """Bootstrap replicates: a standard error is then known to about 2 per cent."""
    seed: int = 1
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """A row whose score is at least this is selected; of classes the likeliest is."""
    rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Select this share of the rows, the highest scores, in place of a threshold; each model has
    the threshold that its own scores give."""
    audit: bool = False
    """Have TensorFlow Model Analysis measure the same predictions: it must agree."""


class GateRule(Section):
    """One rule: exactly one of a floor, a ceiling, or a margin against the champion.

    Of a gap the floor or ceiling is about its size, whichever side it favours; a margin, about how
    much it has grown.
    """

    metric: Metric
    floor: float | None = None
    """The candidate's value must be at least this."""
    ceiling: float | None = None
    """The candidate's value must be at most this."""
    margin: Annotated[float, Field(ge=0)] | None = None
    """The candidate may be worse than the champion by at most this."""
    slice: str | None = None
    """Name of a declared slicing or sensitive feature: the rule holds for each of its groups."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """How sure a pass or a fail must be; between the two a person is asked."""
    minimum_rows: Annotated[int, Field(ge=1)] | None = None
    """With ``slice``: the least rows of a group that is judged; ``evaluation.min_slice_size``."""
    warn_only: bool = False
    """A declared exception: the rule is judged and shown, and decides nothing."""

    @model_validator(mode="after")
    def _one_limit(self) -> GateRule:
        limits = [n for n in ("floor", "ceiling", "margin") if getattr(self, n) is not None]
        if len(limits) != 1:
            raise ValueError(f"give exactly one of floor, ceiling, margin (given: {limits})")
        if self.metric.is_fairness and not self.slice:
            raise ValueError(f"{self.metric} compares groups: name a sensitive feature as slice")
        if self.metric.is_fact and (self.slice or self.margin is not None):
            raise ValueError(f"{self.metric} is a fact of the night: give a floor or a ceiling")
        if self.metric is Metric.FLIP_RATE and self.ceiling is None:
            raise ValueError("flip_rate is of two models already: give a ceiling")
        return self

    @property
    def title(self) -> str:
        """The rule in words, the same for every night."""
        scope = f" by {self.slice}" if self.slice else ""
        if self.floor is not None:
            return f"{self.metric}{scope} >= {self.floor:g}"
        if self.ceiling is not None:
            return f"{self.metric}{scope} <= {self.ceiling:g}"
        return f"{self.metric}{scope} no worse than champion by more than {self.margin:g}"
