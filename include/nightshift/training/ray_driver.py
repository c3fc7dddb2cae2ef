"""On the Ray cluster: ``python -m nightshift.training.ray_driver``, the job that a step submitted.

Ray Train starts the workers, one a node where it can, and gives each its ``TF_CONFIG``. This
process watches them; where one dies or stands still it says which, and ends. With it Ray ends all
that belongs to the job, on every node: the step's retry starts a new job from the last checkpoint.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightshift.errors import ErrorKind, NightshiftError, StepError
from nightshift.training.job import Job, Role, Task
from nightshift.training.ray_cluster import JOB_FILE
from nightshift.training.ray_transcript import Outcome, tell
from nightshift.training.ray_watch import Watch
from nightshift.training.ray_worker import take_role

if TYPE_CHECKING:
    from ray.actor import ActorHandle

_WATCH_SECONDS = 1.0


def main() -> int:
    """Run the job in the current folder's ``job.json``; 0 where it trained to its end."""
    job = Job.model_validate_json(Path(JOB_FILE).read_bytes())
    watch = _watch(job)
    threading.Thread(target=_observe, args=(watch,), daemon=True).start()
    try:
        _train(job, watch)
    except NightshiftError as error:
        return _end(Outcome(error=StepError(kind=error.kind, message=error.message)))
    return _end(Outcome())


def _watch(job: Job) -> ActorHandle:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.init(logging_level=logging.WARNING)
    here = ray.get_runtime_context().get_node_id()
    beside = NodeAffinitySchedulingStrategy(here, soft=False)
    return ray.remote(num_cpus=0)(Watch).options(scheduling_strategy=beside).remote(job)


def _observe(watch: ActorHandle) -> None:
    """End the job once a worker foresaw its end or stands still."""
    import ray

    while True:
        time.sleep(_WATCH_SECONDS)
        error, stuck = ray.get([watch.foreseen.remote(), watch.stuck.remote()])
        if error or stuck:
            _leave(Outcome(error=error, lost=stuck))


def _train(job: Job, watch: ActorHandle) -> None:
    """Have Ray Train run the workers to their end.

    Raises:
        NightshiftError: The cluster has no room, or Ray Train itself failed.
    """
    from ray.train import (
        ControllerError,
        FailureConfig,
        RunConfig,
        ScalingConfig,
        WorkerGroupError,
    )
    from ray.train.tensorflow import TensorflowTrainer

    trainer = TensorflowTrainer(
        take_role,
        train_loop_config={"job": job.model_dump_json(), "watch": watch},
        scaling_config=ScalingConfig(num_workers=job.training.workers, placement_strategy="SPREAD"),
        run_config=RunConfig(
            name=job.request.key[:20],
            # Ray Train wants a place for checkpoints of its own, though ours go to S3: beside
            # this code, where Ray itself removes it.
            storage_path=str(Path("ray-train").absolute()),
            # The step's retry starts over from a checkpoint; Ray would start over from none.
            failure_config=FailureConfig(
                max_failures=0, max_preemption_failures=0, controller_failure_limit=0
            ),
        ),
    )
    # Others' jobs may hold the room for a while; sooner than the workers would count as silent.
    os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(
        0.8 * job.training.progress_timeout_seconds
    )
    try:
        trainer.fit()
    except WorkerGroupError as error:
        _leave(_blamed(error, watch))
    except ControllerError as error:
        raise _no_room(job, error) from error


def _blamed(error: Any, watch: ActorHandle) -> Outcome:
    """Which of the failed workers is at fault: who foresaw it, who died, who broke first."""
    import ray
    from ray.exceptions import RayActorError

    dead = [
        rank
        for rank, failure in error.worker_failures.items()
        if isinstance(getattr(failure, "health_check_failure", failure), RayActorError)
    ]
    if foreseen := ray.get(watch.foreseen.remote()):
        return Outcome(error=foreseen)
    if dead:
        role = Role(Task.WORKER, min(dead))
        return Outcome(lost=ray.get(watch.lost.remote(role, "died")))
    if broken := ray.get(watch.broken.remote()):
        return Outcome(lost=broken)
    rank, failure = next(iter(error.worker_failures.items()))
    role = Role(Task.WORKER, rank)
    return Outcome(lost=ray.get(watch.lost.remote(role, f"failed ({type(failure).__name__})")))


def _no_room(job: Job, error: Exception) -> NightshiftError:
    import ray

    free = ray.available_resources().get("CPU", 0.0)
    whole = ray.cluster_resources().get("CPU", 0.0)
    found = NightshiftError(
        f"{job.request.pipeline}: Ray Train could not start {job.training.workers} workers, which "
        f"take a CPU each: {free:g} of the cluster's {whole:g} CPUs are free on "
        f"{sum(node['Alive'] for node in ray.nodes())} nodes. It is retried; if it stays so, add "
        f"nodes or lower training.workers. ({str(error).splitlines()[-1]})"
    )
    found.kind = ErrorKind.UNAVAILABLE
    return found


def _end(outcome: Outcome) -> int:
    tell(outcome)
    return 1 if outcome.error or outcome.lost else 0


def _leave(outcome: Outcome) -> None:
    """Say how it ended and be gone: Ray ends the job's processes on all nodes with this one."""
    # A worker's last lines come by way of Ray's log monitor, which looks twice a second.
    time.sleep(2.0)
    tell(outcome)
    sys.stdout.flush()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
