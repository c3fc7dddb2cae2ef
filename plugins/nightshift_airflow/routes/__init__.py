"""What Airflow's API server shows: pages behind its login, metrics behind a token."""
