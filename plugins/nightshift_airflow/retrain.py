"""The DAG of a night: snapshot, validation, training, evaluation, gate, approval, registration."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable

from nightshift.definition.load import load_pipeline
from nightshift.definition.model import PipelineDefinition
from nightshift_airflow.compression import CompressionTasks
from nightshift_airflow.dag_parts import RETRIES, TAG, end_of, night_params, start_of
from nightshift_airflow.operators.approve import ApproveOperator
from nightshift_airflow.operators.card import CardOperator
from nightshift_airflow.operators.register import RegisterOperator
from nightshift_airflow.operators.step import StepOperator
from nightshift_airflow.operators.steps import (
    AuditOperator,
    EvaluateOperator,
    ExpectationsOperator,
    GateOperator,
    SnapshotOperator,
    StatisticsOperator,
    TrainOperator,
    TuneOperator,
)


def retrain_dag(pipeline: str) -> DAG:
    """Build ``retrain_<pipeline>`` from the pipeline's definition.

    Raises:
        BadDefinitionError: The definition is wrong; Airflow shows it for this DAG file alone.
    """
    definition = load_pipeline(pipeline)
    dag = DAG(
        dag_id=f"retrain_{pipeline}",
        description=definition.description,
        doc_md=_documentation(definition),
        schedule=_timetable(definition),
        start_date=start_of(definition),
        end_date=end_of(definition),
        catchup=False,
        # One night at a time: the next night's baseline is this night's release.
        max_active_runs=1,
        default_args={**RETRIES, "owner": definition.owner},
        params=night_params(definition),
        tags=[TAG, pipeline],
        render_template_as_native_obj=True,
    )
    with dag:
        _tasks(definition)
    return dag


def _tasks(definition: PipelineDefinition) -> None:
    pipeline = definition.pipeline
    snapshot = SnapshotOperator(task_id="snapshot", pipeline=pipeline)
    pinned = {"snapshot": snapshot.reference}
    statistics = StatisticsOperator(task_id="statistics", pipeline=pipeline, inputs=pinned)
    expectations = ExpectationsOperator(task_id="expectations", pipeline=pipeline, inputs=pinned)
    tune = _tune(definition, pinned)
    tuned = {"tune": tune.reference} if tune else {}
    train = TrainOperator(task_id="train", pipeline=pipeline, inputs={**pinned, **tuned})
    evaluate = EvaluateOperator(
        task_id="evaluate",
        pipeline=pipeline,
        inputs={**pinned, "train": train.reference},
    )
    compression = CompressionTasks.of(definition, snapshot, train)
    steps = (snapshot, statistics, expectations, *([tune] if tune else []), train, evaluate)
    made = {step.task_id: step.reference for step in steps} | compression.served
    gate = GateOperator(task_id="gate", pipeline=pipeline, inputs=made)
    judged = {**made, "gate": gate.reference}
    approve = ApproveOperator(task_id="approve", pipeline=pipeline, inputs=judged)
    register = RegisterOperator(task_id="register", pipeline=pipeline, inputs=judged)
    checked = [statistics, expectations]
    checked >> train >> evaluate >> gate >> approve >> register
    if tune:
        checked >> tune >> train
    CardOperator(
        task_id="card", pipeline=pipeline, registered=register.output, inputs=compression.judged
    )
    if definition.evaluation.audit:
        measured = {"evaluate": evaluate.reference}
        audit = AuditOperator(task_id="audit", pipeline=pipeline, inputs=measured)
        evaluate >> audit >> register
    compression.bundle(register)


def _tune(definition: PipelineDefinition, pinned: dict[str, Any]) -> StepOperator | None:
    """The search before training; none for a pipeline without ``tuning``."""
    if definition.tuning is None:
        return None
    return TuneOperator(task_id="tune", pipeline=definition.pipeline, inputs=pinned)


def _timetable(definition: PipelineDefinition) -> CronDataIntervalTimetable | None:
    schedule = definition.schedule
    if schedule.cron is None:
        return None
    # A bare cron string gives runs without a data interval; the night is that interval's day.
    return CronDataIntervalTimetable(schedule.cron, timezone=schedule.timezone)


def _documentation(definition: PipelineDefinition) -> str:
    window, rules = definition.window, "\n".join(f"- {r.title}" for r in definition.gates)
    most = f"the days since {window.since}, at most " if window.since else ""
    return (
        f"{definition.description}\n\n"
        f"Each night trains on {most}{window.days - window.holdout_days} days of `"
        f"{definition.dataset.name}` and holds out the last {window.holdout_days}. "
        f"A registered version starts `release_{definition.pipeline}`.\n\n"
        f"**Gate**\n{rules}\n\n"
        "Where the gate is inconclusive, `approve` waits for a person (*Required Actions*). "
        "A candidate that failed or was rejected is only released by "
        f"`override_{definition.pipeline}`.\n\n"
        "**When a task is red**: its log ends with one error that names the column, file or gate. "
        "A lost connection retries by itself. After repairing what it names, clear the task: the "
        "run goes on from there. Repaired *data* needs a new run with *force*, since a running "
        "night keeps the bytes that it pinned."
    )
