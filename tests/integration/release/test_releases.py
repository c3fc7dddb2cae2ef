"""Releases from request to traffic: real object store, agent, model servers and Envoy."""

from __future__ import annotations

import json
import time

import pytest

from nightshift.artifacts.store import ArtifactStore
from nightshift.errors import RefusedError
from nightshift.release import requests
from nightshift.release.event import EventKind
from nightshift.release.log import ReleaseLog, fold
from nightshift.release.record import Colour, Phase
from tests.integration.release.rig import PIPELINE, Rig
from tests.integration.servers import wait_until


def test_a_first_release_serves_the_model_through_envoy(rig: Rig) -> None:
    began = time.monotonic()
    state = rig.release(1)
    print(f"first release: {time.monotonic() - began:.1f} s")
    assert state.succeeded, state.message
    answer = rig.predict()
    assert answer.is_right and answer.version == 1


def test_a_second_release_and_a_rollback_fail_no_request(rig: Rig) -> None:
    assert rig.release(1).succeeded
    candidate = rig.publish(2)
    with rig.traffic() as seen:
        state = rig.await_end(rig.ask(candidate))
        assert state.succeeded, state.message
        rig.await_version(2)
        began = time.monotonic()
        back = requests.rollback(rig.bucket, PIPELINE, by="test", reason="answers at sea")
        rig.await_version(1)
        print(f"roll-back: {time.monotonic() - began:.2f} s; {len(seen)} requests")
    assert (back.from_version, back.to_version, back.release_id) == (2, 1, None)
    assert [answer for answer in seen if not answer.is_right] == []
    assert {answer.version for answer in seen} == {1, 2}
    record = requests.record(rig.bucket, PIPELINE)
    assert record.phase is Phase.ROLLED_BACK and record.rejected == {2: "answers at sea"}
    with pytest.raises(RefusedError, match="answers at sea"):
        rig.ask(candidate)


def test_asking_again_is_the_same_release_and_writes_nothing(rig: Rig) -> None:
    candidate = rig.publish(1)
    release = rig.ask(candidate)
    assert rig.ask(candidate) == release
    assert rig.await_end(release).succeeded
    before = requests.record(rig.bucket, PIPELINE).number
    assert rig.ask(candidate) == release
    assert requests.record(rig.bucket, PIPELINE).number == before
    assert requests.is_known(rig.bucket, PIPELINE, 1)
    assert not requests.is_known(rig.bucket, PIPELINE, 2)


def test_a_flipped_byte_is_refused_and_named_and_the_live_version_goes_on(rig: Rig) -> None:
    assert rig.release(1).succeeded
    candidate = rig.publish(2)
    store = ArtifactStore(rig.bucket)
    key = store.file_key(store.open(candidate.model), "saved_model/saved_model.pb")
    body = bytearray(rig.bucket.get(key).body)
    body[len(body) // 2] ^= 1
    rig.bucket.put(key, bytes(body))
    state = rig.await_end(rig.ask(candidate))
    assert state.phase is Phase.ABORTED
    assert "saved_model.pb" in state.message and "SHA-256" in state.message
    assert "one:" in state.message, "the host is named"
    assert 2 in requests.record(rig.bucket, PIPELINE).rejected
    answer = rig.predict()
    assert answer.is_right and answer.version == 1


def test_a_wrong_golden_answer_is_refused_with_value_and_limit(rig: Rig) -> None:
    assert rig.release(1).succeeded
    state = rig.await_end(rig.ask(rig.publish(2, golden_offset=0.001)))
    assert state.phase is Phase.ABORTED
    assert "golden row 0 of 'probability'" in state.message and "limit 1e-05" in state.message
    answer = rig.predict()
    assert answer.is_right and answer.version == 1


def test_a_model_that_cannot_be_loaded_is_refused(rig: Rig) -> None:
    assert rig.release(1).succeeded
    broken = rig.saved_models / "99"
    broken.mkdir(exist_ok=True)
    (broken / "saved_model.pb").write_bytes(b"this is no graph")
    state = rig.await_end(rig.ask(rig.publish(99)))
    assert state.phase is Phase.ABORTED and "could not load" in state.message
    assert rig.predict().version == 1


def test_an_older_version_is_staged_again_for_a_rollback_two_steps_back(rig: Rig) -> None:
    for version in (1, 2, 3):
        assert rig.release(version).succeeded
    back = requests.rollback(rig.bucket, PIPELINE, by="test", reason="both bad", to_version=1)
    assert back.release_id is not None
    assert rig.await_end(back.release_id).succeeded
    answer = rig.predict()
    assert answer.is_right and answer.version == 1


def test_a_rollback_during_a_staging_aborts_it_first(rig: Rig) -> None:
    for version in (1, 2):
        assert rig.release(version).succeeded
    release = rig.ask(rig.publish(3))
    back = requests.rollback(rig.bucket, PIPELINE, by="test", reason="2 is bad")
    assert rig.await_end(release).phase is Phase.ABORTED
    if back.release_id:
        assert rig.await_end(back.release_id).succeeded
    rig.await_version(1)


def test_an_agent_killed_in_mid_release_finishes_it_after_its_restart(rig: Rig) -> None:
    assert rig.release(1).succeeded
    candidate = rig.publish(2)
    with rig.traffic(clients=1) as seen:
        release = rig.ask(candidate)
        for pause in (0.3, 0.8, 0.8):
            time.sleep(pause)
            rig.agent.kill()
            rig.agent.start()
        assert rig.await_end(release).succeeded
        rig.await_version(2)
    assert [answer for answer in seen if not answer.is_right] == []


def test_a_restarted_agent_changes_nothing(rig: Rig) -> None:
    assert rig.release(1).succeeded
    assert rig.release(2).succeeded
    before = requests.record(rig.bucket, PIPELINE).number
    with rig.traffic() as seen:
        assert rig.agent.stop() == 0
        rig.agent.start()
        time.sleep(3)
    assert [answer for answer in seen if not answer.is_right] == []
    assert {answer.version for answer in seen} == {2}
    assert requests.record(rig.bucket, PIPELINE).number == before


def test_a_killed_model_server_comes_back_with_its_version(rig: Rig) -> None:
    assert rig.release(1).succeeded
    server = rig.machine.servers[Colour.BLUE]
    server.kill()
    server.start()
    wait_until(lambda: rig.predict().is_right, seconds=60, what="blue answers again")
    assert rig.release(2).succeeded


def test_old_versions_leave_the_disk_once_no_colour_holds_them(rig: Rig) -> None:
    for version in (1, 2, 3):
        assert rig.release(version).succeeded
    blue = rig.machine.models / "blue" / PIPELINE

    def versions() -> set[str]:
        return {path.name for path in blue.iterdir()}

    wait_until(lambda: versions() == {"3"}, seconds=20, what="version 1 is gone from blue")


def test_the_log_tells_every_step_with_its_author_and_folds_to_the_record(rig: Rig) -> None:
    rig.release(1)
    events = list(ReleaseLog(rig.bucket, PIPELINE).events())
    assert [event.kind for event in events] == [
        EventKind.REQUESTED,
        EventKind.STAGED,
        EventKind.VERIFIED,
        EventKind.PROMOTED,
        EventKind.FINISHED,
    ]
    assert events[0].by == "test" and events[0].reason == "a good night"
    assert all(event.by == "controller on one" for event in events[1:])
    assert fold(PIPELINE, events) == events[-1].record


def test_the_hosts_status_says_what_it_serves(rig: Rig) -> None:
    rig.release(1)
    record = requests.record(rig.bucket, PIPELINE)
    assert requests.applied_on(rig.bucket, record) == {"one": True}
    shown = rig.local("GET", "/status").json()
    assert json.dumps(shown).count("verified") == 1
