"""What the trigger form can change of ``training:`` in pipeline.yaml, for one run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Param
from pydantic import ValidationError

from nightshift.definition.load import explained
from nightshift.definition.model import PipelineDefinition
from nightshift.definition.training import Cluster, EarlyStopping, Precision, Strategy, Training
from nightshift.errors import BadDefinitionError

PATIENCE = "early_stopping"


def training_params(definition: PipelineDefinition) -> dict[str, Param]:
    """The fields; each one left empty is as pipeline.yaml says."""
    training = definition.training
    patience = training.early_stopping.patience if training.early_stopping else 0
    return {
        "strategy": _choice(
            Strategy,
            training.strategy,
            "How the work of a batch is divided: one process; several devices of one process; "
            "several processes in step; several processes with parameter servers.",
        ),
        "cluster": _choice(
            Cluster, training.cluster, "Where the processes of a strategy run: here, or on Ray."
        ),
        "workers": _number(
            "integer", 1, training.workers, "Devices or processes that share a batch.", most=256
        ),
        "parameter_servers": _number(
            "integer",
            0,
            training.parameter_servers,
            "Processes that hold the variables; for strategy parameter_server alone.",
            most=64,
        ),
        "global_batch_size": _number(
            "integer",
            1,
            training.global_batch_size,
            "Rows of one update, over all workers together.",
        ),
        "epochs": _number(
            "integer", 1, training.epochs, "How often training goes through the rows.", most=10_000
        ),
        "learning_rate": _number("number", 0, training.learning_rate, "Adam's step size."),
        "precision": _choice(
            Precision, training.precision, "In what the model computes; its answers are float32."
        ),
        PATIENCE: _number(
            "integer",
            0,
            patience,
            "Epochs without improvement before training ends; 0: train all epochs.",
        ),
        "seed": _number("integer", None, training.seed, "Makes weights and the order of rows."),
    }


def with_training(definition: PipelineDefinition, params: Mapping[str, Any]) -> PipelineDefinition:
    """The definition with what the form changes.

    A strategy chosen in the form brings its own numbers of workers and parameter servers where
    those of pipeline.yaml belong to another strategy.

    Raises:
        BadDefinitionError: The form's values contradict each other or the definition.
    """
    given = {
        name: params[name]
        for name in training_params(definition)
        if params.get(name) not in (None, "")
    }
    if not given:
        return definition
    fields = {**definition.training.model_dump(), **_roles(definition.training, given), **given}
    if PATIENCE in given:
        fields[PATIENCE] = _early_stopping(definition.training, given[PATIENCE])
    try:
        changed = Training.model_validate(fields)
    except ValidationError as error:
        lines = "\n".join(f"  {line}" for line in explained(error, "training"))
        raise BadDefinitionError(
            f"{definition.pipeline}: the trigger form's training fields do not fit:\n{lines}\n"
            "Trigger the run again with other values; empty fields are as pipeline.yaml says.",
            fields=sorted(given),
        ) from None
    return definition.model_copy(update={"training": changed})


def _roles(training: Training, given: Mapping[str, Any]) -> dict[str, int]:
    if given.get("strategy") in (None, training.strategy.value):
        return {}
    served = given["strategy"] == Strategy.PARAMETER_SERVER
    alone = given["strategy"] == Strategy.SINGLE
    return {
        "workers": 1 if alone else training.workers,
        "parameter_servers": max(1, training.parameter_servers) if served else 0,
    }


def _early_stopping(training: Training, patience: Any) -> Any:
    if not patience:
        return None
    return {**(training.early_stopping or EarlyStopping()).model_dump(), "patience": patience}


def _choice(words: Iterable[str], now: str, description: str) -> Param:
    return Param(
        None,
        type=["null", "string"],
        enum=[None, *(str(word) for word in words)],
        description=f"{description} Empty: {now}, as pipeline.yaml says.",
        section="Training",
    )


def _number(
    type_: str, least: int | None, now: float, description: str, most: int | None = None
) -> Param:
    bounds = {"minimum": least, "maximum": most}
    limits: dict[str, Any] = {name: limit for name, limit in bounds.items() if limit is not None}
    return Param(
        None,
        type=["null", type_],
        description=f"{description} Empty: {now:g}, as pipeline.yaml says.",
        section="Training",
        **limits,
    )
