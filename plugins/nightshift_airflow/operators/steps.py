"""One operator per kind of step: the step's contract is in the catalog, its colour here."""

from __future__ import annotations

from nightshift.steps import catalog
from nightshift_airflow.operators.step import StepOperator


class SnapshotOperator(StepOperator):
    """Pin the window's files of the lake, and the baseline that the night is compared with."""

    spec = catalog.SNAPSHOT
    ui_color = "#e3f2fd"


class StatisticsOperator(StepOperator):
    """TFDV statistics, schema check and drift; an anomaly of severity error stops the run."""

    spec = catalog.STATISTICS
    ui_color = "#e0f2f1"


class ExpectationsOperator(StepOperator):
    """Great Expectations over the same data, with Data Docs."""

    spec = catalog.EXPECTATIONS
    ui_color = "#e0f2f1"


class TrainOperator(StepOperator):
    """Fit the model and export it with its serving signature."""

    spec = catalog.TRAIN
    ui_color = "#fff3e0"


class EvaluateOperator(StepOperator):
    """Candidate and champion on the same holdout, overall and by slice."""

    spec = catalog.EVALUATE
    ui_color = "#fff3e0"


class GateOperator(StepOperator):
    """Judge every rule; one failed rule stops the run and the champion goes on serving."""

    spec = catalog.GATE
    ui_color = "#fce4ec"
