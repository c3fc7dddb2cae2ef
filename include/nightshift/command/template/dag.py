"""Retrain __NAME__ every night, and release what passes its gate (Airflow: DAG)."""

from nightshift_airflow.override import override_dag
from nightshift_airflow.release import release_dag
from nightshift_airflow.retrain import retrain_dag

retrain, release = retrain_dag("__NAME__"), release_dag("__NAME__")
override = override_dag("__NAME__")
