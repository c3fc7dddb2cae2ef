"""The DAG of an override: a form, an entry that stays for ever, then registration as usual."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from nightshift.definition.load import load_pipeline
from nightshift_airflow.dag_parts import RETRIES, TAG, start_of
from nightshift_airflow.operators.card import CardOperator
from nightshift_airflow.operators.override import OverrideOperator
from nightshift_airflow.operators.register import RegisterOperator


def override_dag(pipeline: str) -> DAG:
    """Build ``override_<pipeline>``: release a candidate that the gate or a person refused."""
    definition = load_pipeline(pipeline)
    dag = DAG(
        dag_id=f"override_{pipeline}",
        description=f"Release a candidate of {pipeline} in spite of its gate. Recorded for ever.",
        doc_md=(
            "Registers the candidate that was refused, and no other, and starts its release. Your "
            "name and your reason stand wherever the version is shown. What was rolled back cannot "
            "be overridden: retrain its night with *force*."
        ),
        schedule=None,
        start_date=start_of(definition),
        catchup=False,
        max_active_runs=1,
        default_args={**RETRIES, "owner": definition.owner},
        params=_form(),
        tags=[TAG, pipeline, "override"],
        render_template_as_native_obj=True,
    )
    with dag:
        override = OverrideOperator(task_id="override", pipeline=pipeline)
        register = RegisterOperator(task_id="register", pipeline=pipeline, inputs=override.refused)
        CardOperator(
            task_id="card", pipeline=pipeline, registered=register.output, inputs=override.refused
        )
    return dag


def _form() -> dict[str, Param]:
    return {
        "night": Param(
            type="string",
            format="date",
            title="Night",
            description="The night whose candidate was refused.",
        ),
        "gate": Param(
            None,
            type=["null", "string"],
            title="Gate",
            description="Key of the gate's artifact, where the night has several refused ones.",
        ),
        "reason": Param(
            type="string",
            minLength=1,
            title="Reason",
            description="Why. Kept for ever with your name.",
        ),
    }
