"""A Ray job's log as the train step shows it."""

from __future__ import annotations

import pytest

from nightshift.errors import ErrorKind, StepError
from nightshift.training.job import Beat, Role, Task
from nightshift.training.ray_transcript import (
    LAST_LINES,
    Lost,
    Outcome,
    Transcript,
    Who,
    tell,
)

HERE = "(RayTrainWorker pid=31) "
THERE = "(RayTrainWorker pid=31, ip=10.0.0.3) "


def told(told: Who | Outcome, capsys: pytest.CaptureFixture[str]) -> str:
    tell(told)
    return capsys.readouterr().out.rstrip("\n")


@pytest.fixture
def transcript(capsys: pytest.CaptureFixture[str]) -> Transcript:
    """Of a job whose two workers, on two nodes, happen to have one process id."""
    transcript = Transcript()
    for mark, role, node in ((HERE, "worker-1", "10.0.0.2"), (THERE, "worker-0", "10.0.0.3")):
        transcript.read(mark + told(Who(role=role, pid=31, ip=node), capsys))
    return transcript


def test_a_worker_says_who_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = THERE + told(Who(role="worker-0", pid=31, ip="10.0.0.3"), capsys)
    assert Transcript().read(line) == "worker-0 is process 31 on node 10.0.0.3"


def test_each_line_bears_its_role(transcript: Transcript) -> None:
    assert transcript.read(THERE + "epoch 1/5") == "worker-0: epoch 1/5"
    assert transcript.read(HERE + "epoch 1/5") == "worker-1: epoch 1/5"


def test_a_process_is_named_by_number_and_node_until_it_says_who_it_is() -> None:
    assert Transcript().read(THERE + "early") == "process 31 on 10.0.0.3: early"


def test_rays_own_bookkeeping_is_left_out(transcript: Transcript) -> None:
    assert transcript.read("(TrainController pid=7) Attempting to start …") is None
    assert transcript.read("a line of the driver") == "ray: a line of the driver"


def test_the_last_lines_of_each_role_are_kept(transcript: Transcript) -> None:
    for number in range(LAST_LINES + 5):
        transcript.read(f"{THERE}line {number}")
    transcript.read(HERE + "another's")
    assert list(transcript.last["worker-0"]) == [f"line {n}" for n in range(5, LAST_LINES + 5)]
    assert list(transcript.last["worker-1"]) == ["another's"]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(),
        Outcome(error=StepError(kind=ErrorKind.BAD_DATA, message="Zeile\n»zwei«", facts={"n": 1})),
        Outcome(lost=Lost(role=Role(Task.WORKER, 1), how="died", beat=Beat(phase="training"))),
    ],
)
def test_the_outcome_crosses_the_log_unchanged(
    outcome: Outcome, transcript: Transcript, capsys: pytest.CaptureFixture[str]
) -> None:
    assert transcript.outcome is None
    assert transcript.read(told(outcome, capsys)) is None
    assert transcript.outcome == outcome


def test_a_mark_that_is_cut_in_two_is_only_a_line(transcript: Transcript) -> None:
    transcript.read('nightshift-outcome {"error": {"kind": "bad_')
    assert transcript.outcome is None
