"""Retrain fashion every night (Airflow: DAG)."""

from nightshift_airflow.override import override_dag
from nightshift_airflow.release import release_dag
from nightshift_airflow.retrain import retrain_dag

retrain, release = retrain_dag("fashion"), release_dag("fashion")
override = override_dag("fashion")
