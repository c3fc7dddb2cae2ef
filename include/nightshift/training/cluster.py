"""The line between a training job and the place where its processes run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Protocol

from nightshift.definition import training
from nightshift.training.job import Job


class Cluster(Protocol):
    """A place that can run a job's processes, such as this machine.

    Each process gets ``TF_CONFIG`` in its environment and calls
    :func:`nightshift.training.worker.work` with the job, its role, a scratch folder and a function
    that takes its :class:`~nightshift.training.job.Beat` to whoever watches the job
    (:class:`nightshift.training.watchdog.Watchdog` knows when to call it stuck).
    """

    def run(self, job: Job, work: Path, log: logging.Logger) -> None:
        """Run the job to its end.

        On return the job's last checkpoint, which holds the trained model and its history, is
        committed. However this ends, no process of the job is left anywhere, also where the
        caller's process gets SIGTERM (SystemExit is raised in this call).

        Args:
            job: The job.
            work: Scratch folder on this machine.
            log: Gets every line of every process, prefixed by its role.

        Raises:
            NightshiftError: What a process foresaw, with its own kind (bad data, bad definition).
            WorkerLostError: A process died or made no progress for
                ``training.progress_timeout_seconds``.
        """


def cluster_of(choice: training.Cluster) -> Cluster:
    """The place that ``training.cluster`` of pipeline.yaml names."""
    if choice is training.Cluster.RAY:
        from nightshift.training.ray_cluster import RayCluster

        return RayCluster()
    from nightshift.training.local_cluster import LocalCluster

    return LocalCluster()
