"""The DAG of a release: ask, then watch. The release itself is run by the serving agents."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from nightshift.definition.load import load_pipeline
from nightshift_airflow.dag_parts import RETRIES, TAG, start_of
from nightshift_airflow.operators.answer import AnswerReleaseOperator
from nightshift_airflow.operators.register import registered_asset
from nightshift_airflow.operators.release import RequestReleaseOperator, WatchReleaseOperator


def release_dag(pipeline: str) -> DAG:
    """Build ``release_<pipeline>``, started by the registered model's asset."""
    definition = load_pipeline(pipeline)
    dag = DAG(
        dag_id=f"release_{pipeline}",
        description=f"Release a registered version of {pipeline}; anything wrong rolls it back.",
        schedule=[registered_asset(pipeline)],
        start_date=start_of(definition),
        catchup=False,
        default_args={**RETRIES, "owner": definition.owner},
        params={
            "version": Param(
                None,
                type=["null", "integer"],
                minimum=1,
                title="Version",
                description="A registered version. Empty: the one that started this run.",
            ),
            "override": Param(
                False,
                type="boolean",
                title="Override",
                description="Release a version trained on older data than the live one.",
            ),
            "reason": Param(
                "", type="string", title="Reason", description="Why; kept in the release log."
            ),
        },
        tags=[TAG, pipeline, "release"],
    )
    with dag:
        request = RequestReleaseOperator(task_id="request", pipeline=pipeline)
        watch = WatchReleaseOperator(
            task_id="watch", pipeline=pipeline, release_id=request.release_id
        )
        answer = AnswerReleaseOperator(
            task_id="answer", pipeline=pipeline, release_id=request.release_id
        )
        request >> watch >> answer
    return dag
