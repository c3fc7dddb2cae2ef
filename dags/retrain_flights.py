"""Retrain flights every night (Airflow: DAG)."""

from nightshift_airflow.override import override_dag
from nightshift_airflow.release import release_dag
from nightshift_airflow.retrain import retrain_dag

retrain, release = retrain_dag("flights"), release_dag("flights")
override = override_dag("flights")
