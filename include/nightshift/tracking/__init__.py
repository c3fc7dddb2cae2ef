"""The story in MLflow: one run per night, one registered version per released artifact."""
