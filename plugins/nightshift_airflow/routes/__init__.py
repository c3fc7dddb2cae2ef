"""Pages behind the login of Airflow."""
