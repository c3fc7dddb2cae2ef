"""What a job takes along to a Ray cluster, by the names that both ends know."""

from __future__ import annotations

JOB_FILE = "job.json"
SAME_PACKAGES = ("tensorflow", "tf-keras", "numpy")
"""What must have one version on all nodes for a job to give one result."""


def expected_version(package: str) -> str:
    """The variable that tells the nodes which version of a package the step has."""
    return f"NIGHTSHIFT_EXPECTED_{package.upper().replace('-', '_')}"
