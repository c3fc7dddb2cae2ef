"""What ``status`` says of hosts, and whose releases the commands mean."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nightshift.command.releases import drain_line, stack_bucket
from nightshift.release.drain import Wish, Wishes
from nightshift.release.status import HostStatus, PipelineStatus, RouteStatus
from nightshift.stack.environment import s3_environment
from nightshift.stack.settings import StackSettings

AT = datetime(2026, 1, 1, 3, 15, tzinfo=UTC)
LACKING = PipelineStatus(route=RouteStatus(message="green is loading"))


@pytest.mark.parametrize(
    ("wanted", "draining", "line"),
    [
        (None, False, ""),
        (False, False, ""),
        (True, False, "host two is to be drained, its agent has yet to do it (ada, "),
        (True, True, "host two is drained (ada, 2026-01-01 03:15 UTC): new disk"),
        (False, True, "host two is undrained and catches up (flights: green is loading)"),
    ],
)
def test_a_host_out_of_service_has_a_line(wanted: bool | None, draining: bool, line: str) -> None:
    status = HostStatus(
        host="two", beat=1, at=AT, draining=draining, pipelines={"flights": LACKING}
    )
    hosts: dict[str, Wish] = (
        {} if wanted is None else {"two": Wish(draining=wanted, by="ada", at=AT, reason="new disk")}
    )
    found = drain_line(status, Wishes(hosts=hosts))
    assert found.startswith(line) and bool(found) == bool(line)


def test_commands_reach_the_store_that_the_shell_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = {
        "NIGHTSHIFT_BUCKET": "models",
        "AWS_ENDPOINT_URL_S3": "https://s3.example",
        "AWS_ACCESS_KEY_ID": "on-call",
    }
    for name, value in elsewhere.items():
        monkeypatch.setenv(name, value)
    assert stack_bucket(StackSettings(tmp_path, cores=2)).name == "models"
    assert {name: os.environ[name] for name in elsewhere} == elsewhere


def test_without_a_word_they_reach_the_local_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = StackSettings(tmp_path, cores=2)
    # What the command sets is taken back with the rest.
    for name in {*s3_environment(settings), "NIGHTSHIFT_BUCKET"}:
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("NIGHTSHIFT_BUCKET")
    assert stack_bucket(settings).name == "nightshift"
    assert os.environ["AWS_ACCESS_KEY_ID"] == "nightshift-command"
