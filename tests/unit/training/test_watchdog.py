"""Which process of a job holds the others up."""

from __future__ import annotations

from nightshift.training.job import Beat, Role, Task
from nightshift.training.watchdog import Watchdog

FIRST, SECOND, SERVER = Role(Task.WORKER, 0), Role(Task.WORKER, 1), Role(Task.PARAMETER_SERVER, 0)
LIMIT = 60.0


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def beat(step: int, phase: str = "training") -> Beat:
    return Beat(phase=phase, step=step)


def watchdog(*roles: Role) -> tuple[Watchdog, Clock]:
    clock = Clock()
    return Watchdog(roles, LIMIT, clock), clock


def test_a_job_that_moves_is_well() -> None:
    dog, clock = watchdog(FIRST, SECOND)
    for second in range(300):
        clock.now = float(second)
        dog.hear(FIRST, beat(second))
        dog.hear(SECOND, beat(second))
        assert dog.stuck() is None


def test_a_stopped_worker_is_named_though_all_stand_still() -> None:
    dog, clock = watchdog(FIRST, SECOND)
    dog.hear(FIRST, beat(7))
    dog.hear(SECOND, beat(7))
    for second in range(1, 62):
        clock.now = float(second)
        dog.hear(FIRST, beat(7))  # alive, and waiting for the other
    stuck = dog.stuck()
    assert stuck is not None
    assert (stuck.role, stuck.beat.step) == (SECOND, 7)
    assert stuck.how == "has been silent for 61 s (limit 60 s)"


def test_a_worker_that_only_beats_is_named_by_its_steps() -> None:
    dog, clock = watchdog(FIRST, SECOND)
    for second in range(62):
        clock.now = float(second)
        dog.hear(FIRST, beat(8))
        dog.hear(SECOND, beat(7))
    stuck = dog.stuck()
    assert stuck is not None
    assert stuck.role == SECOND
    assert stuck.how.startswith("finished no step for 61 s")


def test_a_server_has_no_steps_but_must_be_heard() -> None:
    dog, clock = watchdog(FIRST, SERVER)
    for second in range(200):
        clock.now = float(second)
        dog.hear(FIRST, beat(second))
        dog.hear(SERVER, beat(0, "serving"))
    assert dog.stuck() is None
    for second in range(200, 270):
        clock.now = float(second)
        dog.hear(FIRST, beat(second))
    stuck = dog.stuck()
    assert stuck is not None
    assert stuck.role == SERVER


def test_a_process_may_take_long_to_start() -> None:
    dog, clock = watchdog(FIRST, SECOND)
    for second in range(int(LIMIT) + 30):
        clock.now = float(second)
        dog.hear(FIRST, beat(0, "starting"))
    assert dog.stuck() is None
    clock.now = 121.0
    stuck = dog.stuck()
    assert stuck is not None
    assert stuck.role == SECOND


def test_who_is_done_need_not_be_heard() -> None:
    dog, clock = watchdog(FIRST, SECOND)
    dog.hear(SECOND, beat(0, "done"))
    for second in range(100):
        clock.now = float(second)
        dog.hear(FIRST, beat(second))
    assert dog.stuck() is None


def test_who_no_longer_answers_is_known_before_it_counts_as_stuck() -> None:
    dog, clock = watchdog(FIRST, SECOND)
    dog.hear(FIRST, beat(7))
    dog.hear(SECOND, beat(7))
    clock.now = 5.0
    assert dog.silent() is None
    clock.now = 17.0
    dog.hear(FIRST, beat(7))
    silent = dog.silent()
    assert silent is not None and silent.role == SECOND
    assert silent.how.startswith("has been silent for 17 s")
    assert dog.stuck() is None


def test_a_failure_is_judged_once_each_other_process_was_heard_or_is_silent() -> None:
    dog, clock = watchdog(FIRST, SECOND)
    dog.hear(SECOND, beat(7))
    clock.now = 7.0  # the first one fails: has it, or has the other one?
    assert not dog.accounted([SECOND], since=7.0)
    clock.now = 10.0
    assert not dog.accounted([SECOND], since=7.0)
    clock.now = 10.1
    assert dog.accounted([SECOND], since=7.0)
    assert dog.silent() is not None


def test_a_peer_that_lives_on_needs_no_wait() -> None:
    dog, clock = watchdog(FIRST, SECOND)
    dog.hear(SECOND, beat(7))
    clock.now = 7.5
    dog.hear(SECOND, beat(7))
    assert dog.accounted([SECOND], since=7.0)
    assert dog.accounted([], since=7.0)
