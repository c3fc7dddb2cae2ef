"""The story in MLflow: one run per night, one registered version per released artifact."""

import os

# MLflow's client tells its makers what it is used for, from a thread that changes this process's
# environment meanwhile: whoever reads the environment then fails. To be said before its import.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
