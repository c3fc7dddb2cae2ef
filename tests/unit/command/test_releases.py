"""What ``status`` says of hosts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nightshift.command.releases import drain_line
from nightshift.release.drain import Wish, Wishes
from nightshift.release.status import HostStatus, PipelineStatus, RouteStatus

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
