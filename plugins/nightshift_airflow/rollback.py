"""The DAG of a roll-back: a form, the same path as the command's, done when every host has it."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param

from nightshift.definition.folders import pipeline_names
from nightshift_airflow.dag_parts import RETRIES, TAG
from nightshift_airflow.operators.rollback import AwaitRollbackOperator, RollbackOperator


def rollback_dag() -> DAG:
    """Build ``rollback``: back to an earlier version of any pipeline."""
    names = pipeline_names()
    dag = DAG(
        dag_id="rollback",
        description="Leave a version for an earlier one, and never come back to it.",
        doc_md=(
            "The version left is rejected with your reason. While a canary takes part of the "
            "traffic it is the canary that is left. With Airflow down: `./nightshift rollback`."
        ),
        schedule=None,
        start_date=datetime(2020, 1, 1, tzinfo=UTC),
        catchup=False,
        default_args=RETRIES,
        params={
            "pipeline": Param(
                names[0] if len(names) == 1 else None,
                type=["null", "string"],
                enum=[None, *names],
                title="Pipeline",
                description="Whose version to leave.",
            ),
            "to_version": Param(
                None,
                type=["null", "integer"],
                minimum=1,
                title="To version",
                description="An earlier live version. Empty: the one that was live before.",
            ),
            "reason": Param(
                type="string",
                minLength=1,
                title="Reason",
                description="Why. The version left is rejected with it, for ever.",
            ),
        },
        tags=[TAG, "release"],
    )
    with dag:
        rollback = RollbackOperator(task_id="rollback")
        AwaitRollbackOperator(task_id="on_every_host", asked=rollback.output)
    return dag
