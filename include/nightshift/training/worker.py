"""One process of a training job: ``python -m nightshift.training.worker JOB.json FOLDER``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nightshift.training.job import Beat, Job, Role


def work(job: Job, role: Role, folder: Path, report: Callable[[Beat], None]) -> None:
    """Take one role of a job to its end. ``TF_CONFIG`` must be in the environment.

    Args:
        job: The job.
        role: Which of its processes this one is.
        folder: Scratch folder of this process alone.
        report: Gets a beat about once a second, from a thread of its own.

    Raises:
        NightshiftError: Bad data, a bad model, S3 away.
    """
    raise NotImplementedError(role)
