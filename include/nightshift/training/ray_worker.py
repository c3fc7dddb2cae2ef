"""One worker of a Ray job: the function that Ray Train runs in each of its processes."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightshift.errors import NightshiftError, StepError
from nightshift.training.job import Beat, Job, Role, Task
from nightshift.training.ray_cluster import SAME_PACKAGES, expected_version
from nightshift.training.ray_transcript import Who, tell

if TYPE_CHECKING:
    from ray.actor import ActorHandle

_GRACE_SECONDS = 5.0


def take_role(config: dict[str, Any]) -> None:
    """Do the work of the role that Ray Train gave this process in ``TF_CONFIG``.

    Args:
        config: ``job`` (its JSON) and ``watch`` (the actor :class:`.ray_watch.Watch`).
    """
    import ray

    job = Job.model_validate_json(config["job"])
    watch: ActorHandle = config["watch"]
    role = Role(Task.WORKER, json.loads(os.environ["TF_CONFIG"])["task"]["index"])
    node = ray.util.get_node_ip_address()
    tell(Who(role=str(role), pid=os.getpid(), ip=node))
    ray.get(watch.join.remote(role, node))
    _log_to_standard_output()

    def report(beat: Beat) -> None:
        watch.hear.remote(role, beat)

    try:
        _check_packages()
        with _scratch() as folder:
            from nightshift.training.worker import work

            work(job, role, folder, report)
    except NightshiftError as error:
        foreseen = StepError(kind=error.kind, message=error.message, facts=error.facts)
        ray.get(watch.hear.remote(role, Beat(phase="done", error=foreseen)))
        raise
    except Exception as error:
        traceback.print_exc()
        # Whoever loses a peer breaks too: give Ray the time to say that the peer died.
        time.sleep(_GRACE_SECONDS)
        gist = (str(error).strip() or "no reason given").splitlines()[0]
        ray.get(watch.broke.remote(role, f"broke: {type(error).__name__}: {gist}"))
        raise


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder of this process alone; first without those that killed processes left here."""
    home = Path(tempfile.gettempdir(), "nightshift-ray")
    home.mkdir(exist_ok=True)
    for left in home.iterdir():
        if not Path("/proc", left.name).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = home / str(os.getpid())
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_packages() -> None:
    """Raise where this node has other versions than the step's runtime."""
    for name in SAME_PACKAGES:
        expected, found = os.environ.get(expected_version(name)), version(name)
        if expected not in (None, found):
            raise NightshiftError(
                f"This Ray node has {name} {found}, the step's runtime 'ml' has {expected}: give "
                "all nodes the packages of include/runtimes/ml.txt."
            )


def _log_to_standard_output() -> None:
    """What Ray gathers from a worker is what it prints."""
    logger = logging.getLogger("nightshift")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # It tells every all-reduce that it traces, twice.
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
