"""What a search leaves behind: each trial as plain JSON values."""

from __future__ import annotations

from datetime import datetime

import optuna
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict

from nightshift.definition.training import Scalar
from nightshift.tuning.search import REASON
from nightshift.tuning.study import is_unchanged


class TrialResult(BaseModel):
    """How one trial went."""

    model_config = ConfigDict(frozen=True)

    number: int
    state: str
    """``complete``, ``pruned`` or ``fail``; the last do not count."""
    parameters: dict[str, Scalar]
    unchanged: bool
    """Whether these are the parameters of pipeline.yaml."""
    losses: tuple[float, ...]
    """Mean validation loss after each epoch, in nats."""
    reason: str = ""
    began: datetime
    ended: datetime

    @property
    def loss(self) -> float | None:
        """The last epoch's validation loss."""
        return self.losses[-1] if self.losses else None

    @property
    def seconds(self) -> float:
        """Wall time."""
        return (self.ended - self.began).total_seconds()


def results(study: optuna.Study) -> list[TrialResult]:
    """Every trial that was started, in their order."""
    there = study.get_trials(deepcopy=False)
    return [_result(trial) for trial in there if trial.state is not TrialState.WAITING]


def importances(study: optuna.Study) -> dict[str, float]:
    """How much each parameter explains of the differences between trials (PED-ANOVA).

    Shares of 1; empty where too few trials came to their end to say anything.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < 4:
        return {}
    try:
        return optuna.importance.get_param_importances(study)
    except (RuntimeError, ValueError, ZeroDivisionError):  # all alike: nothing to explain
        return {}


def _result(trial: FrozenTrial) -> TrialResult:
    began = trial.datetime_start or datetime.now()
    return TrialResult(
        number=trial.number,
        state=trial.state.name.lower(),
        parameters=trial.params,
        unchanged=is_unchanged(trial),
        losses=tuple(value for _, value in sorted(trial.intermediate_values.items())),
        reason=trial.user_attrs.get(REASON, ""),
        began=began.astimezone(),
        ended=(trial.datetime_complete or began).astimezone(),
    )
