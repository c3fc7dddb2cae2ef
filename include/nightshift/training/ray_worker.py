"""One worker of a Ray job: the function that Ray Train runs in each of its processes."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightshift.errors import NightshiftError, StepError
from nightshift.training.job import Beat, Job, Role, Task
from nightshift.training.ray_luggage import SAME_PACKAGES, expected_version
from nightshift.training.ray_transcript import Who, tell

if TYPE_CHECKING:
    from ray.actor import ActorHandle

LOG = logging.getLogger("nightshift.training")

# How every TensorFlow error begins that one worker gets because of another.
_ABORTED = re.compile(r"Collective ops is aborted by: (.*)")


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
    except Exception as error:
        _report_end(error, role, watch)
        # The driver hears it and ends the job, this process too. Raised, it would end the others
        # in a way that hides who was first.
        threading.Event().wait()


def _report_end(error: Exception, role: Role, watch: ActorHandle) -> None:
    import ray

    if isinstance(error, NightshiftError):
        foreseen = StepError(kind=error.kind, message=error.message, facts=error.facts)
        told = watch.hear.remote(role, Beat(phase="failed", error=foreseen))
    elif lost := _ABORTED.search(str(error)):
        LOG.warning("Lost touch with another worker: %s", lost[1])
        told = watch.lonely.remote(role, lost[1])
    else:
        traceback.print_exc()
        gist = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        told = watch.broke.remote(role, f"broke: {type(error).__name__}: {gist}")
    ray.get(told)


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
    # One tells every all-reduce that it traces, twice; the other where it found its credentials.
    for chatty in ("tensorflow", "botocore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
