"""A Ray cluster as the place of a training job: submitted once, found again by whoever asks next.

The job runs on the cluster, not in the step that submits it. A step whose Airflow worker dies is
gone at once; its retry finds the job by its name, which is made from the step's key, and follows
it. A step that is told to end (the task was marked as failed) stops the job on every node.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nightshift
from nightshift.artifacts.store import ArtifactStore
from nightshift.encryption.keys import SETTINGS
from nightshift.errors import NightshiftError, UnavailableError
from nightshift.storage.s3 import artifact_bucket
from nightshift.training.checkpoint import newest_checkpoint
from nightshift.training.job import Job, WorkerLostError
from nightshift.training.local_cluster import lost
from nightshift.training.ray_address import configured_address
from nightshift.training.ray_luggage import JOB_FILE, SAME_PACKAGES, expected_version
from nightshift.training.ray_transcript import Outcome, Transcript

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

_CHATTY = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
# Where a key lies and not the key: a node that does not have it there must fail, and not write
# checkpoints that nobody encrypted.
_TOLD_ON = ("NIGHTSHIFT_BUCKET", "NIGHTSHIFT_LAKE_BUCKET", *SETTINGS)
_AWAY_SECONDS = 60.0
"""How long a cluster that was there may be silent before the step gives up (and is retried)."""
_STOPPED_SECONDS = 8.0
"""How long is waited for the job's end when the step is told to end: it has ten seconds."""


class RayCluster:
    """Runs jobs of strategy ``multi_worker`` with Ray Train on a cluster that is there already.

    Args:
        address: Where the cluster takes jobs; by default what the environment says.

    Raises:
        BadDefinitionError: Nobody said where the cluster is.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = address or configured_address()

    def run(self, job: Job, work: Path, log: logging.Logger) -> None:
        """Run the job, or follow it where it runs already (see :class:`.cluster.Cluster`)."""
        from ray.job_submission import JobSubmissionClient

        transcript = Transcript()
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
        with _errors(self.address):
            client = JobSubmissionClient(self.address)
        try:
            with _errors(self.address):
                name = _running(client, job, log) or _submitted(client, job, work, log)
            status = _follow(client, name, transcript, log)
        except (SystemExit, KeyboardInterrupt):
            _stop(client, job, log)
            raise
        _judge(job, name, status, transcript)


def job_name(job: Job, number: int) -> str:
    """The name of the job's attempt on the cluster: the same from every step with this key."""
    return f"{_stem(job)}-{number}"


def _stem(job: Job) -> str:
    return f"nightshift-{job.request.pipeline}-{job.request.key[:20]}"


# --- submit, or find again


def _attempts(client: JobSubmissionClient, job: Job) -> dict[int, str]:
    """By number, the state of each attempt at this job that the cluster knows."""
    name = re.compile(rf"{re.escape(_stem(job))}-(\d+)")
    found: dict[int, str] = {}
    for known in client.list_jobs():
        match = name.fullmatch(known.submission_id or "")
        if match:
            found[int(match[1])] = str(known.status)
    return found


def _active(client: JobSubmissionClient, job: Job) -> list[int]:
    return [n for n, state in _attempts(client, job).items() if state in ("PENDING", "RUNNING")]


def _running(client: JobSubmissionClient, job: Job, log: logging.Logger) -> str | None:
    active = _active(client, job)
    if not active:
        return None
    name = job_name(job, max(active))
    log.info("The Ray job %s runs already: following it.", name)
    return name


def _submitted(client: JobSubmissionClient, job: Job, work: Path, log: logging.Logger) -> str:
    # Imported for its name alone, and so that the step's key covers what runs on the cluster.
    from nightshift.training import ray_driver

    number = max(_attempts(client, job), default=0) + 1
    job = _resumed(job)
    name = job_name(job, number)
    folder = work / "ray"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JOB_FILE).write_text(job.model_dump_json(), encoding="utf-8")
    try:
        client.submit_job(
            submission_id=name,
            entrypoint=f"exec python -m {ray_driver.__name__}",
            runtime_env=_runtime_environment(folder),
            metadata={"pipeline": job.request.pipeline, "night": job.request.night.isoformat()},
        )
    except RuntimeError:
        # Of two steps that submit the same name, one is refused: the job is there.
        if number not in _attempts(client, job):
            raise
    log.info("Ray job %s, attempt %d, on %s", name, number, client.get_address())
    return name


def _resumed(job: Job) -> Job:
    """The job from the checkpoint that is the newest now.

    An attempt may have run on, and ended, since the step looked: nothing is trained twice.
    """
    request = job.request
    newest = newest_checkpoint(ArtifactStore(artifact_bucket()), request.pipeline, request.key)
    return job.model_copy(update={"resume": newest.ref}) if newest else job


def _runtime_environment(folder: Path) -> dict[str, Any]:
    """This very code, the job, and names. No credentials: Ray writes these variables to its logs.

    (``runtime_env_agent.log`` of each node holds them whole, and the job's page shows them.) The
    nodes reach S3 with what their own environment or instance profile gives them.
    """
    names = {name: os.environ[name] for name in _TOLD_ON if name in os.environ}
    return {
        "working_dir": str(folder),
        "py_modules": [str(Path(nightshift.__file__).parent)],
        "excludes": ["__pycache__"],
        "env_vars": {
            **names,
            **{expected_version(name): version(name) for name in SAME_PACKAGES},
            "TF_USE_LEGACY_KERAS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "PYTHONDONTWRITEBYTECODE": "1",
            # Plain lines, each of them, for the transcript.
            "RAY_COLOR_PREFIX": "0",
            "RAY_DEDUP_LOGS": "0",
            "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
            "RAY_TRAIN_METRICS_ENABLED": "0",
        },
    }


# --- follow


def _follow(
    client: JobSubmissionClient, name: str, transcript: Transcript, log: logging.Logger
) -> str:
    """Stream the job's log until the job has ended; returns how."""
    seen = 0
    heard = time.monotonic()
    while True:
        try:
            for line in _lines(client, name, skip=seen):
                seen, heard = seen + 1, time.monotonic()
                if shown := transcript.read(line):
                    log.info("%s", shown)
            status = str(client.get_job_status(name))
            if status in ("SUCCEEDED", "FAILED", "STOPPED"):
                return status
            heard = time.monotonic()
        except _lost_connection() as error:
            if time.monotonic() - heard > _AWAY_SECONDS:
                raise UnavailableError(
                    f"The Ray cluster at {client.get_address()} does not answer any more "
                    f"({type(error).__name__}: {error}). The job {name} may go on without this "
                    "step; the retry follows it again, or resumes from its last checkpoint."
                ) from error
        time.sleep(1.0)


def _lines(client: JobSubmissionClient, name: str, *, skip: int) -> Iterator[str]:
    """The job's log from line ``skip`` on, as it grows, until the job has ended."""
    chunks = client.tail_job_logs(name)
    rest = ""
    with asyncio.Runner() as runner:
        while (chunk := runner.run(_next(chunks))) is not None:
            *lines, rest = (rest + chunk).split("\n")
            yield from lines[skip:]
            skip = max(0, skip - len(lines))
    if rest and not skip:
        yield rest


async def _next(chunks: AsyncIterator[str]) -> str | None:
    return await anext(chunks, None)


def _stop(client: JobSubmissionClient, job: Job, log: logging.Logger) -> None:
    """End the job's processes on every node."""
    end = time.monotonic() + _STOPPED_SECONDS
    try:
        # Looked up, not remembered: the end may have come while the job was being submitted.
        while (active := _active(client, job)) and time.monotonic() < end:
            for number in active:
                log.info("Told to end: stopping Ray job %s on every node.", job_name(job, number))
                client.stop_job(job_name(job, number))
            time.sleep(0.5)
        if active:
            log.warning("Ray has not told within %g s that the job ended.", _STOPPED_SECONDS)
    except _lost_connection() as error:
        log.warning(
            "The Ray job could not be stopped (%s). 'ray job stop %s…' on the cluster ends it.",
            error,
            _stem(job),
        )


# --- what it came to


def _judge(job: Job, name: str, status: str, transcript: Transcript) -> None:
    outcome = transcript.outcome or Outcome()
    if outcome.error:
        error = NightshiftError(outcome.error.message, **outcome.error.facts)
        error.kind = outcome.error.kind
        raise error
    if outcome.lost:
        role = outcome.lost.role
        lines = transcript.last.get(str(role), ())
        raise lost(job, role, outcome.lost.beat, outcome.lost.how, list(lines))
    if status != "SUCCEEDED":
        raise _driver_lost(job, name, status, list(transcript.last.get("", ())))


def _driver_lost(job: Job, name: str, status: str, lines: list[str]) -> WorkerLostError:
    how = "was stopped on the cluster" if status == "STOPPED" else "failed before it could say why"
    quoted = "".join(f"\n    {line}" for line in lines) or " none"
    return WorkerLostError(
        f"{job.request.pipeline}: the Ray job {name} {how}; the retry goes on from the last "
        f"checkpoint. Last lines of its driver:{quoted}",
        role="driver",
        how=how,
        epoch=None,
        step=None,
        lines=lines,
    )


@contextmanager
def _errors(address: str) -> Iterator[None]:
    """Turn what Ray's client raises into an error that says what to do."""
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError as error:
        raise UnavailableError(
            f"The Ray cluster at {address} refuses the token: put the cluster's RAY_AUTH_TOKEN "
            "into the password of the Airflow connection 'nightshift_ray'."
        ) from error
    except _lost_connection() as error:
        raise UnavailableError(
            f"The Ray cluster at {address} does not take the job: "
            f"{(str(error).strip() or type(error).__name__).splitlines()[-1]} It is retried; if it "
            "stays so, see that the head node runs and that the Airflow connection "
            "'nightshift_ray' has the address of its dashboard."
        ) from error


def _lost_connection() -> tuple[type[Exception], ...]:
    import aiohttp
    import requests

    # Ray's client raises RuntimeError for every answer that is not 200.
    return (
        ConnectionError,
        RuntimeError,
        TimeoutError,
        aiohttp.ClientError,
        requests.RequestException,
    )
