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

from nightshift.errors import NightshiftError, StepError, UnavailableError
from nightshift.training.job import Job, Role, Task
from nightshift.training.ray_luggage import JOB_FILE
from nightshift.training.ray_transcript import Outcome, tell
from nightshift.training.ray_watch import Watch
from nightshift.training.ray_worker import take_role

if TYPE_CHECKING:
    from ray.actor import ActorHandle

_WATCH_SECONDS = 1.0
_GRACE_SECONDS = 5.0
_LEAVING = threading.Lock()


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
    """End the job once a worker foresaw its end, broke, or stands still."""
    import ray

    while True:
        time.sleep(_WATCH_SECONDS)
        error, stuck, broken = ray.get(
            [watch.foreseen.remote(), watch.stuck.remote(), watch.broken.remote()]
        )
        if broken and not error:
            # Whoever loses another worker says so first: give Ray the time to find it dead.
            time.sleep(_GRACE_SECONDS)
            broken = ray.get(watch.broken.remote())
        if error or stuck or broken:
            _leave(Outcome(error=error, lost=stuck or broken))


def _train(job: Job, watch: ActorHandle) -> None:
    """Have Ray Train run the workers to their end.

    Raises:
        UnavailableError: The cluster has no room, takes nodes back, or Ray Train itself failed.
    """
    from ray.train import (
        ControllerError,
        FailureConfig,
        PreemptionError,
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
    # Others' jobs may hold the room for a while.
    timeout = job.training.progress_timeout_seconds
    os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(timeout)
    try:
        trainer.fit()
    except WorkerGroupError as error:
        _leave(_blamed(error, watch))
    except PreemptionError as error:
        raise UnavailableError(
            f"{job.request.pipeline}: the cluster takes nodes back ({error}). The job was stopped; "
            "the retry goes on from the last checkpoint."
        ) from error
    except ControllerError as error:
        raise UnavailableError(_no_room(job, error)) from error


def _blamed(error: Any, watch: ActorHandle) -> Outcome:
    """Which worker died: they report whatever else can happen to them."""
    import ray

    rank = min(error.worker_failures)
    failure = error.worker_failures[rank]
    failure = getattr(failure, "health_check_failure", failure)
    how = f"died ({type(failure).__name__})"
    return Outcome(lost=ray.get(watch.lost.remote(Role(Task.WORKER, rank), how)))


def _no_room(job: Job, error: Exception) -> str:
    import ray

    free = ray.available_resources().get("CPU", 0.0)
    whole = ray.cluster_resources().get("CPU", 0.0)
    nodes = sum(node["Alive"] for node in ray.nodes())
    return (
        f"{job.request.pipeline}: Ray Train could not start {job.training.workers} workers, which "
        f"take a CPU each: {free:g} of the cluster's {whole:g} CPUs, on {nodes} nodes, are free. "
        "It is retried; if it stays so, add nodes or lower training.workers. "
        f"({str(error).splitlines()[-1]})"
    )


def _end(outcome: Outcome) -> int:
    tell(outcome)
    return 1 if outcome.error or outcome.lost else 0


def _leave(outcome: Outcome) -> None:
    """Say how it ended and be gone: Ray ends the job's processes on all nodes with this one."""
    _LEAVING.acquire()  # for good: who comes second waits for the end
    # A worker's last lines come by way of Ray's log monitor, which looks twice a second.
    time.sleep(2.0)
    tell(outcome)
    sys.stdout.flush()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
