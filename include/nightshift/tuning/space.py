"""From ``tuning.space`` of pipeline.yaml to what Optuna samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nightshift.definition.training import Range, Scalar, Training

if TYPE_CHECKING:
    import optuna


def suggested(trial: optuna.Trial, space: Mapping[str, Range]) -> dict[str, Scalar]:
    """One value for each parameter."""
    return {name: _one(trial, name, range_) for name, range_ in space.items()}


def unchanged(training: Training, space: Mapping[str, Range]) -> dict[str, Scalar]:
    """The values in pipeline.yaml of the parameters that are searched."""
    values = {name: training.value(name) for name in space}
    return {name: value for name, value in values.items() if value is not None}


def _one(trial: optuna.Trial, name: str, range_: Range) -> Scalar:
    if range_.choices:
        chosen: Scalar = trial.suggest_categorical(name, range_.choices)  # type: ignore[assignment]
        return chosen
    assert range_.low is not None and range_.high is not None
    if range_.integer:
        return trial.suggest_int(name, int(range_.low), int(range_.high), log=range_.log)
    return trial.suggest_float(name, range_.low, range_.high, log=range_.log)
