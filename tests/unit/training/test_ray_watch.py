"""Who is to blame for the end of a Ray job."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from nightshift.errors import ErrorKind, StepError
from nightshift.steps.contract import StepRequest
from nightshift.training.job import Beat, Job, Role, Task
from nightshift.training.ray_watch import Watch

TIMEOUT = 300.0
FIRST, SECOND = Role(Task.WORKER, 0), Role(Task.WORKER, 1)


@pytest.fixture
def seconds() -> list[float]:
    """A clock that the test turns."""
    return [100.0]


@pytest.fixture
def watch(seconds: list[float]) -> Watch:
    """Two workers in epoch 3, on a node each."""
    training = {
        "strategy": "multi_worker",
        "cluster": "ray",
        "workers": 2,
        "progress_timeout_seconds": TIMEOUT,
    }
    request = StepRequest(
        step="train",
        pipeline="small",
        night=date(2013, 1, 10),
        key="key",
        attempt="attempt",
        parameters={"training": training},
        folder=Path("small"),
    )
    watch = Watch(Job(request=request, files={}, statistics={}, file_rows=()), lambda: seconds[0])
    for role in (FIRST, SECOND):
        watch.join(role, f"10.0.0.{role.index + 2}")
        watch.hear(role, Beat(phase="training", epoch=2, step=7))
    return watch


def test_nobody_is_to_blame_for_a_job_that_is_well(watch: Watch) -> None:
    assert (watch.foreseen(), watch.stuck(), watch.broken()) == (None, None, None)


def test_a_worker_that_breaks_is_named_with_its_node_and_place(watch: Watch) -> None:
    watch.broke(SECOND, "broke: MemoryError")
    watch.broke(FIRST, "broke: something that followed")
    lost = watch.broken()
    assert lost is not None
    assert (lost.role, lost.how) == (SECOND, "on node 10.0.0.3 broke: MemoryError")
    assert (lost.beat.epoch, lost.beat.step) == (2, 7)


def test_of_two_workers_that_lost_touch_the_silent_one_is_to_blame(
    watch: Watch, seconds: list[float]
) -> None:
    seconds[0] += 20
    watch.hear(FIRST, Beat(phase="training", epoch=2, step=7))
    watch.lonely(FIRST, "Deadline Exceeded")
    lost = watch.broken()
    assert lost is not None
    assert lost.role == SECOND
    assert lost.how == ("on node 10.0.0.3 is silent for 20 s, worker-0 lost it (Deadline Exceeded)")


def test_where_all_still_speak_the_one_that_lost_touch_is_named(watch: Watch) -> None:
    watch.lonely(FIRST, "Connection reset by peer")
    lost = watch.broken()
    assert lost is not None
    assert lost.role == FIRST
    assert "lost touch with the others (Connection reset by peer)" in lost.how


def test_a_cluster_without_room_is_no_worker_that_stands_still(
    watch: Watch, seconds: list[float]
) -> None:
    waiting = Watch(watch.job, lambda: seconds[0])
    waiting.join(FIRST, "10.0.0.2")
    seconds[0] += 1.5 * TIMEOUT
    assert waiting.stuck() is None
    waiting.join(SECOND, "10.0.0.3")
    seconds[0] += 1.5 * TIMEOUT
    stuck = waiting.stuck()
    assert stuck is not None
    assert "silent" in stuck.how


def test_what_a_worker_foresaw_is_told_as_it_said_it(watch: Watch) -> None:
    error = StepError(kind=ErrorKind.BAD_DATA, message="a column is missing")
    watch.hear(SECOND, Beat(phase="failed", error=error))
    assert watch.foreseen() == error
