"""Checkpoints on a real S3: whole or not there, the furthest first, gone when of no use."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from nightshift.artifacts.manifest import MANIFEST, Manifest
from nightshift.artifacts.store import ArtifactStore, new_attempt
from nightshift.definition.training import Checkpoints
from nightshift.steps.contract import StepRequest
from nightshift.training.checkpoint import (
    KEPT,
    CheckpointWriter,
    State,
    newest_checkpoint,
    read_checkpoint,
    remove_finished,
)
from nightshift.training.history import Epoch
from nightshift.training.order import Position
from tests.integration.servers import S3

LOG = logging.getLogger("test")
KEY = "0" * 32


def request(key: str = KEY) -> StepRequest:
    return StepRequest(
        step="train",
        pipeline="small",
        night=date(2013, 1, 10),
        key=key,
        attempt=new_attempt(),
        folder=Path("small"),
    )


def state(epoch: int, step: int = 0) -> State:
    done = [Epoch(number=n + 1, loss=0.5, auc=0.7, accuracy=0.8, seconds=1.0) for n in range(epoch)]
    return State(
        position=Position(epoch, step),
        history=tuple(done),
        seconds=0.25,
        model=[np.arange(12, dtype=np.float32).reshape(3, 4) + epoch, np.float32(1).reshape(1)],
        optimizer=[np.array(7, np.int64)],
        metrics=[np.linspace(0, 1, 5)],
    )


def write(store: ArtifactStore, *states: State, key: str = KEY) -> None:
    writer = CheckpointWriter(store, request(key), Checkpoints(), LOG, result=True)
    for one in states:
        writer.save(one)
    writer.close()


@pytest.fixture
def store(s3: S3) -> ArtifactStore:
    return ArtifactStore(s3.artifacts)


def test_what_is_read_is_what_was_written(store: ArtifactStore) -> None:
    write(store, state(3, 41))
    found = newest_checkpoint(store, "small", KEY)
    assert found is not None
    assert found.manifest.facts == {"epoch": 3, "step": 41}
    back = read_checkpoint(store, found)
    assert (back.position, back.history, back.seconds) == (
        Position(3, 41),
        state(3).history,
        0.25,
    )
    for part in ("model", "optimizer", "metrics"):
        for mine, other in zip(getattr(back, part), getattr(state(3), part), strict=True):
            np.testing.assert_array_equal(mine, other)
            assert mine.dtype == other.dtype


def test_the_furthest_wins_and_only_the_last_are_kept(store: ArtifactStore) -> None:
    write(store, state(1), state(2, 5), state(2, 90), state(11))
    found = newest_checkpoint(store, "small", KEY)
    assert found is not None
    assert found.manifest.facts["epoch"] == 11
    kept = {item.key.split("/")[3] for item in store.bucket.list("small/artifacts/checkpoint/")}
    assert len(kept) == KEPT


def test_a_writer_that_was_killed_leaves_nothing_to_resume_from(store: ArtifactStore) -> None:
    write(store, state(1))
    torn = f"small/artifacts/checkpoint/{KEY}-00002-00000000/{new_attempt()}/state.npz"
    store.bucket.put(torn, b"half")
    found = newest_checkpoint(store, "small", KEY)
    assert found is not None
    assert found.manifest.facts["epoch"] == 1


def test_another_training_resumes_from_nothing_of_this_one(store: ArtifactStore) -> None:
    write(store, state(1))
    assert newest_checkpoint(store, "small", "1" * 32) is None


def test_checkpoints_go_when_their_model_is_committed_and_no_others(store: ArtifactStore) -> None:
    other = "1" * 32
    write(store, state(1), state(2))
    write(store, state(5), key=other)
    model = Manifest(
        pipeline="small",
        kind="model",
        key=KEY,
        attempt="a",
        files={},
        created=datetime.now(UTC),
    )
    store.bucket.create(f"small/artifacts/model/{KEY}/{MANIFEST}", model.model_dump_json().encode())
    assert remove_finished(store, "small") == 2
    left = [item.key for item in store.bucket.list("small/artifacts/checkpoint/")]
    assert left
    assert all(other in key for key in left)


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_training(
    s3: S3, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nightshift.storage.s3 import Bucket

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "no longer valid")
    locked_out = ArtifactStore(Bucket(s3.artifacts.name))
    writer = CheckpointWriter(locked_out, request(), Checkpoints(), LOG)
    writer.save(state(1))
    writer.close()
    assert "A checkpoint could not be written, training goes on" in caplog.text


@pytest.mark.parametrize(
    ("rule", "position", "due"),
    [
        (Checkpoints(), Position(1), True),
        (Checkpoints(every_epochs=3), Position(4), False),
        (Checkpoints(every_epochs=3), Position(6), True),
        (Checkpoints(), Position(1, 10), False),
        (Checkpoints(every_minutes=60), Position(1, 10), False),
        (Checkpoints(every_minutes=1e-9), Position(1, 10), True),
    ],
)
def test_when_one_is_due(rule: Checkpoints, position: Position, due: bool, s3: S3) -> None:
    writer = CheckpointWriter(ArtifactStore(s3.artifacts), request(), rule, LOG)
    assert writer.due(position) is due
    writer.close()
