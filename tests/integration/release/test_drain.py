"""A host that a person takes out of service, and puts back."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import httpx
import pytest

from nightshift.errors import RefusedError
from nightshift.release import requests
from nightshift.release.drain import drain, read_wishes, undrain
from nightshift.release.log import ReleaseLog
from nightshift.release.status import HostStatus, write_status
from tests.integration.release.rig import PIPELINE, Rig
from tests.integration.servers import S3, wait_until


def ready(rig: Rig) -> list[int]:
    """What a load balancer is told at the two listeners; 0 where nobody answers."""
    layout = rig.machine.layout
    return [_status(f"http://{door}/ready") for door in (layout.rest, layout.grpc)]


def _status(url: str) -> int:
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.HTTPError:
        return 0


def drained(rig: Rig) -> bool:
    return next(h.draining for h in requests.hosts(rig.bucket) if h.host == rig.name)


def test_a_release_ends_without_a_drained_host_which_is_ready_only_once_it_has_caught_up(
    rig: Rig, second: Rig
) -> None:
    assert rig.release(1).succeeded
    second.await_version(1)
    assert ready(rig) == ready(second) == [200, 200]

    with second.traffic(clients=1) as answers:
        drain(rig.bucket, "two", by="ada", reason="new disk")
        wait_until(lambda: ready(second) == [503, 503], seconds=10, what="its check fails")
        wait_until(lambda: drained(second), seconds=10, what="it says so")
    assert all(answer.is_right for answer in answers), "it serves what still comes"
    assert second.predict().version == 1 and ready(rig) == [200, 200]
    assert second.local("GET", "/metrics").text.count('nightshift_host_draining{host="two"} 1.0')

    second.machine.envoy.kill()
    second.machine.envoy.start()
    wait_until(lambda: ready(second) == [503, 503], seconds=20, what="Envoy is told again")
    second.agent.kill()
    state = rig.release(2)
    assert state.succeeded and "(drained: two)" in state.message
    changes = [event.change for event in ReleaseLog(rig.bucket, PIPELINE).events(6)]
    assert {change.draining for change in changes[1:]} == {("two",)}
    assert {change.left_out for change in changes} == {()}

    undrain(rig.bucket, "two", by="ada", reason="disk replaced")
    second.agent.start()
    told: list[list[int]] = []

    def answers_again() -> bool:
        told.append(ready(second))
        return told[-1] == [200, 200]

    wait_until(answers_again, seconds=60, what="it is in service again")
    assert second.predict().version == 2, "it was ready before it had caught up"
    assert told[0] == [503, 503]
    wait_until(lambda: not drained(second), seconds=10, what="it says so")


def test_of_two_people_who_drain_the_last_two_hosts_one_is_refused(s3: S3) -> None:
    for host in ("one", "two"):
        write_status(s3.artifacts, HostStatus(host=host, beat=1, at=datetime.now(UTC)))
    _ = s3.artifacts.client
    refused: list[str] = []
    together = threading.Barrier(2)

    def ask(host: str) -> None:
        together.wait()
        try:
            drain(s3.artifacts, host, by="ada", reason="new disk")
        except RefusedError:
            refused.append(host)

    threads = [threading.Thread(target=ask, args=(host,)) for host in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wishes = read_wishes(s3.artifacts)
    assert len(refused) == 1
    assert [host for host in ("one", "two") if not wishes.drains(host)] == refused
    with pytest.raises(RefusedError, match=r"is not drained\. Drained are"):
        undrain(s3.artifacts, refused[0], by="ada", reason="a mistake")
