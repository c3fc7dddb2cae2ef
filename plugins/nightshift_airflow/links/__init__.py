"""Buttons on a task: report, MLflow run, artifact."""
