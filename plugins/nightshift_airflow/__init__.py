"""Everything of Nightshift that imports Airflow."""
