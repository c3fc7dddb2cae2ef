"""Retrain employment every year (Airflow: DAG)."""

from nightshift_airflow.override import override_dag
from nightshift_airflow.release import release_dag
from nightshift_airflow.retrain import retrain_dag

retrain, release = retrain_dag("employment"), release_dag("employment")
override = override_dag("employment")
