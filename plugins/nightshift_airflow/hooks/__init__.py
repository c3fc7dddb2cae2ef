"""Airflow connections turned into what Nightshift needs."""
