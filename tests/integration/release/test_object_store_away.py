"""A serving host without the object store: it goes on, and can still be rolled back."""

from __future__ import annotations

import time

import httpx
import pytest

from nightshift.release import requests
from nightshift.release.event import EventKind
from nightshift.release.log import ReleaseLog
from nightshift.release.record import Phase
from tests.integration.release.rig import PIPELINE, Rig
from tests.integration.servers import wait_until


def roll_back(rig: Rig, **options: str) -> httpx.Response:
    call = {"pipeline": PIPELINE, "reason": "sea answers", "by": "night watch"}
    return rig.local("POST", "/rollback", json=call, **options)


def test_serving_goes_on_and_a_local_rollback_reaches_the_log_later(rig_with_own_s3: Rig) -> None:
    rig = rig_with_own_s3
    assert rig.release(1).succeeded
    assert rig.release(2).succeeded
    rig.s3.server.kill()
    with rig.traffic() as seen:
        time.sleep(1)
        began = time.monotonic()
        answer = roll_back(rig)
        assert answer.status_code == 202, answer.text
        assert answer.json() == {"from_version": 2, "to_version": 1}
        rig.await_version(1)
        print(f"local roll-back: {time.monotonic() - began:.2f} s")
        rig.agent.kill()
        rig.agent.start()
        time.sleep(3)
    assert [answer for answer in seen if not answer.is_right] == []
    assert seen[-1].version == 1, "a restarted agent remembers the roll-back from its disk"

    rig.s3.server.start().ready()
    log = ReleaseLog(rig.bucket, PIPELINE)
    wait_until(
        lambda: log.record().phase is Phase.ROLLED_BACK, seconds=60, what="the log hears of it"
    )
    last = log.last()
    assert last is not None and last.by == "night watch on one"
    assert last.record.rejected == {2: "sea answers"}
    time.sleep(2)
    events = list(log.events())
    assert [e.kind for e in events].count(EventKind.ROLLED_BACK) == 1
    assert rig.predict().version == 1


def test_a_release_waits_for_the_store_and_ends_when_it_is_back(rig_with_own_s3: Rig) -> None:
    rig = rig_with_own_s3
    assert rig.release(1).succeeded
    release = rig.ask(rig.publish(2))
    rig.s3.server.kill()
    time.sleep(3)
    assert rig.predict().is_right
    rig.s3.server.start().ready()
    assert rig.await_end(release, seconds=90).succeeded
    rig.await_version(2)


@pytest.mark.parametrize("token", ["", "wrong", "a-token-for-test", "ä"])
def test_a_local_rollback_without_the_token_is_refused(rig: Rig, token: str) -> None:
    wait_until(lambda: _healthy(rig), seconds=30, what="the agent listens")
    call = {"pipeline": PIPELINE, "reason": "r"}
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    url = f"http://127.0.0.1:{rig.agent_port}/rollback"
    answer = httpx.post(url, json=call, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_local_rollback_that_cannot_be_is_refused_with_its_reason(rig: Rig) -> None:
    assert rig.release(1).succeeded
    answer = roll_back(rig)
    assert answer.status_code == 409
    assert "no earlier live version" in answer.json()["error"]
    unknown = rig.local("POST", "/rollback", json={"pipeline": "boats", "reason": "r"})
    assert unknown.status_code == 409 and "flights" in unknown.json()["error"]
    assert rig.local("POST", "/rollback", json={"pipeline": PIPELINE}).status_code == 400
    assert requests.record(rig.bucket, PIPELINE).phase is Phase.FINISHED


def _healthy(rig: Rig) -> bool:
    try:
        return rig.local("GET", "/healthz", token="").status_code == 200
    except httpx.HTTPError:
        return False
