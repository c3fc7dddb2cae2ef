"""Several hosts: one leader among their agents, every live host waited for, dead ones left out."""

from __future__ import annotations

import threading
import time

from nightshift.release import requests
from nightshift.release.event import EventKind
from nightshift.release.lease import Lease
from nightshift.release.log import ReleaseLog, fold
from tests.integration.release.rig import PIPELINE, Rig
from tests.integration.servers import S3, wait_until


def test_a_release_ends_once_both_hosts_serve_it_and_no_event_is_doubled(
    rig: Rig, second: Rig
) -> None:
    for version in (1, 2):
        assert rig.release(version).succeeded
        assert rig.predict().version == second.predict().version == version
    requests.rollback(rig.bucket, PIPELINE, by="test", reason="wrong")
    rig.await_version(1)
    second.await_version(1)
    events = list(ReleaseLog(rig.bucket, PIPELINE).events())
    release = [
        EventKind.REQUESTED,
        EventKind.STAGED,
        EventKind.VERIFIED,
        EventKind.PROMOTED,
        EventKind.FINISHED,
    ]
    assert [event.kind for event in events] == [*release, *release, EventKind.ROLLED_BACK]
    assert fold(PIPELINE, events) == events[-1].record


def test_a_dead_leader_is_replaced_and_its_host_named_and_left_out(rig: Rig, second: Rig) -> None:
    assert rig.release(1).succeeded
    leader, other = _leader_first(rig, second)
    leader.agent.kill()
    began = time.monotonic()
    state = other.release(2)
    assert state.succeeded, state.message
    events = list(ReleaseLog(rig.bucket, PIPELINE).events())
    assert events[-1].by == f"controller on {other.name}"
    assert events[-1].change.left_out == (leader.name,)
    print(f"release past a dead leader: {time.monotonic() - began:.1f} s")
    assert other.predict().version == 2
    assert leader.predict().version == 1, "it goes on with what it has"
    leader.agent.start()
    leader.await_version(2, seconds=30)


def test_of_racing_contenders_one_leads_at_a_time(s3: S3) -> None:
    """Sixteen contenders, each pausing and giving back at random: never two leaders."""
    leading: list[str] = []
    overlaps: list[tuple[str, ...]] = []
    turns: list[str] = []
    lock = threading.Lock()
    stop = time.monotonic() + 6

    def contend(name: str) -> None:
        lease = Lease(s3.artifacts, name, ttl=1.0)
        while time.monotonic() < stop:
            if not lease.hold():
                time.sleep(0.05)
                continue
            with lock:
                leading.append(name)
                turns.append(name)
                if len(leading) > 1:
                    overlaps.append(tuple(leading))
            time.sleep(0.1)
            with lock:
                leading.remove(name)
            lease.release()
            time.sleep(0.1)

    threads = [threading.Thread(target=contend, args=(f"c{n}",)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == []
    assert len(set(turns)) > 1, "the lease moves on"


def test_a_lease_that_is_not_renewed_is_taken_over_after_its_time(s3: S3) -> None:
    first, second = (Lease(s3.artifacts, name, ttl=1.0) for name in ("first", "second"))
    assert first.hold() and not second.hold()
    began = time.monotonic()
    wait_until(second.hold, seconds=5, what="the second takes over")
    assert time.monotonic() - began >= 1.0 and not first.held
    assert not first.hold(), "the first finds that it has lost it"


def _leader_first(one: Rig, two: Rig) -> tuple[Rig, Rig]:
    last = ReleaseLog(one.bucket, PIPELINE).last()
    assert last is not None
    return (one, two) if last.by == "controller on one" else (two, one)
