"""Which hosts may be drained."""

from __future__ import annotations

from datetime import timedelta

import pytest

from nightshift.errors import RefusedError
from nightshift.release.drain import Wish, Wishes, require_drainable
from nightshift.release.status import HostStatus
from tests.unit.release.builders import START

NOBODY = Wishes()


def status(host: str, *, age: float = 1.0, draining: bool = False) -> HostStatus:
    return HostStatus(host=host, beat=1, at=START - timedelta(seconds=age), draining=draining)


def wishes(host: str, *, draining: bool = True) -> Wishes:
    return Wishes(hosts={host: Wish(draining=draining, by="ada", at=START, reason="new disk")})


def check(host: str, known: Wishes, *statuses: HostStatus, force: bool = False) -> None:
    require_drainable(host, known, statuses, now=START, force=force)


def test_one_of_two_hosts_may_be_drained() -> None:
    check("one", NOBODY, status("one"), status("two"))
    check("one", wishes("two", draining=False), status("one"), status("two"))


@pytest.mark.parametrize(
    ("known", "other"),
    [
        (NOBODY, status("two", age=60)),
        (NOBODY, status("two", draining=True)),
        (wishes("two"), status("two")),
    ],
    ids=["silent", "catching up", "to be drained"],
)
def test_the_last_host_in_service_is_drained_by_force_alone(
    known: Wishes, other: HostStatus
) -> None:
    with pytest.raises(RefusedError, match=r"'one' is the only one in service.*--force"):
        check("one", known, status("one"), other)
    check("one", known, status("one"), other, force=True)


def test_a_dead_host_may_be_drained_before_it_comes_back() -> None:
    check("one", NOBODY, status("one", age=60))


def test_an_unknown_host_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(RefusedError, match=r"'three'\. There are: one, two"):
        check("three", NOBODY, status("one"), status("two"), force=True)


def test_a_drained_host_is_refused_with_who_drained_it_and_why() -> None:
    with pytest.raises(RefusedError, match="by ada since 2026-01-01 00:00 UTC: new disk"):
        check("two", wishes("two"), status("one"), status("two"))
