"""How an agent carries out a replay."""

from __future__ import annotations

import gzip
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from nightshift.errors import UnavailableError
from nightshift.release.replay import FASTEST, Replayer, ask
from nightshift.storage.s3 import AbsentError, Read

RELEASE = "00000003"


class Bucket:
    """Objects in memory."""

    name = "bucket"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, body: bytes, *, content_type: str) -> None:
        self.objects[key] = body

    def get(self, key: str) -> Read:
        if key not in self.objects:
            raise AbsentError(key)
        return Read(self.objects[key], "", None)


class Shadow:
    """Notes what is replayed; after ``until`` requests the release is over."""

    def __init__(self, release: str = RELEASE, until: int = 10_000) -> None:
        self.release = release
        self.until = until
        self.asked: list[Any] = []

    def releases(self) -> dict[str, str]:
        return {"flights": self.release} if len(self.asked) < self.until else {}

    def replay(self, pipeline: str, inputs: Any) -> None:
        self.asked.append(inputs["x"][0])


@pytest.fixture
def bucket() -> Bucket:
    """Nothing asked for."""
    return Bucket()


def asked_for(bucket: Bucket, count: int = 5, host: str = "one", release: str = RELEASE) -> None:
    lines = "".join(json.dumps({"x": [number]}) + "\n" for number in range(count))
    ask(
        bucket,  # type: ignore[arg-type]
        "flights",
        gzip.compress(lines.encode()),
        release=release,
        host=host,
        requests=count,
        per_second=1_000,
        by="test",
    )


def replayer(bucket: Bucket, shadow: Shadow, state: Path) -> Replayer:
    return Replayer(bucket, "one", shadow, state, threading.Event())  # type: ignore[arg-type]


def test_every_request_is_sent_once(bucket: Bucket, tmp_path: Path) -> None:
    asked_for(bucket)
    shadow = Shadow()
    carrying = replayer(bucket, shadow, tmp_path)

    carrying.tick()
    carrying.tick()

    assert shadow.asked == [0, 1, 2, 3, 4]


def test_a_replay_goes_on_where_the_agent_left_it(bucket: Bucket, tmp_path: Path) -> None:
    asked_for(bucket)
    replayer(bucket, Shadow(until=2), tmp_path).tick()
    after = Shadow()

    replayer(bucket, after, tmp_path).tick()

    assert after.asked == [2, 3, 4]


def test_another_host_and_another_release_are_not_ours(bucket: Bucket, tmp_path: Path) -> None:
    shadow = Shadow()
    asked_for(bucket, host="two")
    replayer(bucket, shadow, tmp_path).tick()
    asked_for(bucket, release="00000009")
    replayer(bucket, shadow, tmp_path).tick()

    assert shadow.asked == []


def test_nothing_asked_for_is_nothing_done(bucket: Bucket, tmp_path: Path) -> None:
    shadow = Shadow()

    replayer(bucket, shadow, tmp_path).tick()

    assert shadow.asked == []


def test_a_newer_replay_begins_anew(bucket: Bucket, tmp_path: Path) -> None:
    shadow = Shadow()
    carrying = replayer(bucket, shadow, tmp_path)
    asked_for(bucket, 2)
    carrying.tick()
    asked_for(bucket, 3)
    carrying.tick()

    assert shadow.asked == [0, 1, 0, 1, 2]


@pytest.mark.parametrize(
    "damaged", [b"no gzip", gzip.compress(b"x" * 99)[:-9]], ids=["no gzip", "cut off"]
)
def test_requests_that_cannot_be_read_are_told(
    bucket: Bucket, tmp_path: Path, damaged: bytes
) -> None:
    asked_for(bucket)
    for key in list(bucket.objects):
        if "replays/" in key:
            bucket.objects[key] = damaged

    with pytest.raises(UnavailableError, match="replay"):
        replayer(bucket, Shadow(), tmp_path).tick()


def test_progress_that_cannot_be_read_begins_anew(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "replays.json").write_text("[")
    asked_for(bucket, 1)
    shadow = Shadow()

    replayer(bucket, shadow, tmp_path).tick()

    assert shadow.asked == [0]


def test_a_line_that_is_no_request_is_passed_over(bucket: Bucket, tmp_path: Path) -> None:
    asked_for(bucket, 3)
    for key in list(bucket.objects):
        if "replays/" in key:
            bucket.objects[key] = gzip.compress(b'{"x": [1]}\n{"x\n{"x": [2]}\n')
    shadow = Shadow()

    replayer(bucket, shadow, tmp_path).tick()

    assert shadow.asked == [1, 2]


def test_no_replay_is_faster_than_allowed(bucket: Bucket) -> None:
    asked_for(bucket)

    assert json.loads(bucket.objects["flights/replay.json"])["per_second"] == FASTEST
