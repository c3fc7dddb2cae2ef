"""Go back to an earlier version of a pipeline (Airflow: DAG)."""

from nightshift_airflow.rollback import rollback_dag

rollback = rollback_dag()
