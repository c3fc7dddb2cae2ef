"""Releases in steps, judged by real requests through Envoy."""

from __future__ import annotations

import httpx

from nightshift.definition.rollout import Analysis, CanaryStep, Rollout, Shadowing
from nightshift.release import requests
from nightshift.release.log import ReleaseLog
from nightshift.release.record import Phase
from nightshift.release.view import view
from tests.integration.release.rig import PIPELINE, Rig
from tests.integration.servers import wait_until

STEPS = (
    CanaryStep(weight=20, seconds=1, min_requests=30),
    CanaryStep(weight=60, seconds=1, min_requests=30),
)
# A machine shared with other tests answers one request in a hundred late by chance.
CALM = Analysis(latency_ratio=20, disagreement_tolerance=100, max_shift=1)


def test_a_good_version_passes_all_steps_and_no_request_fails(rig: Rig) -> None:
    assert rig.release(1).succeeded
    rollout = Rollout(steps=STEPS, bake_seconds=2, analysis=CALM)
    with rig.traffic() as seen:
        state = rig.await_end(rig.ask(rig.publish(2), rollout=rollout))
    assert state.succeeded, state.message
    assert [answer for answer in seen if not answer.is_right] == []
    events = list(ReleaseLog(rig.bucket, PIPELINE).events(int(state.id)))
    assert [event.kind for event in events] == [
        "requested",
        "staged",
        "verified",
        "stepped",
        "stepped",
        "promoted",
        "baked",
        "finished",
    ]
    new = events[0].record.idle
    weights = [event.record.weights.of(new) for event in events]
    assert weights == [0, 0, 0, 20, 60, 100, 100, 100]
    shown = view(rig.bucket, requests.record(rig.bucket, PIPELINE))
    assert list(shown.stretches) == ["canary-1", "canary-2", "baking"]
    first = shown.stretches["canary-1"].traffic
    assert first.blue.requests > first.green.requests
    compared = shown.stretches["canary-1"].compared.pairs
    assert max(first.green.requests, compared) >= 30
    assert first.blue.failures == first.green.failures == 0
    assert first.green.timed > 0


def test_a_roll_back_in_a_canary_leaves_the_canary(rig: Rig) -> None:
    assert rig.release(1).succeeded
    rollout = Rollout(steps=(CanaryStep(weight=50, seconds=600),), analysis=CALM)
    release = rig.ask(rig.publish(2), rollout=rollout)
    rig.await_version(2)
    with rig.traffic() as seen:
        back = requests.rollback(rig.bucket, PIPELINE, by="test", reason="looks odd")
        assert (back.from_version, back.to_version, back.release_id) == (2, 1, None)
        wait_until(lambda: _applied(rig), seconds=20, what="the host routes to version 1")
        seen.clear()
        wait_until(lambda: len(seen) > 30, seconds=20, what="30 requests")
    assert {answer.version for answer in seen} == {1}
    record = requests.record(rig.bucket, PIPELINE)
    assert record.phase is Phase.ABORTED and record.rejected == {2: "looks odd"}
    assert not requests.watch(rig.bucket, PIPELINE, release).succeeded


def test_a_version_that_fails_requests_is_stopped_in_its_canary(rig: Rig) -> None:
    """Wrong requests stand in for a version's own failures: Envoy sends them to it alone."""
    assert rig.release(1).succeeded
    rollout = Rollout(
        steps=(CanaryStep(weight=50, seconds=600),), sticky_header="x-user", analysis=CALM
    )
    release = rig.ask(rig.publish(2), rollout=rollout)
    rig.await_version(2)
    users = [f"user-{number}" for number in range(60)]
    versions = {user: _version_for(rig, user) for user in users}
    assert set(versions.values()) == {1, 2}
    assert {user: _version_for(rig, user) for user in users} == versions, "it sticks"
    for user, version in versions.items():
        if version == 2:
            _fail(rig, user)
    state = rig.await_end(release)
    assert state.phase is Phase.ABORTED and "failure rate" in state.message, state.message
    assert 2 in requests.record(rig.bucket, PIPELINE).rejected


def test_a_version_that_answers_otherwise_is_stopped_before_any_client_sees_it(rig: Rig) -> None:
    assert rig.release(1).succeeded
    rollout = Rollout(
        shadow=Shadowing(seconds=600, sample=1),
        steps=STEPS,
        analysis=Analysis(latency_ratio=20, max_disagreement=0.2),
    )
    with rig.traffic() as seen:
        state = rig.await_end(rig.ask(rig.publish(6), rollout=rollout))
    assert state.phase is Phase.ABORTED and "disagreement" in state.message, state.message
    assert {answer.version for answer in seen} == {1}
    shown = view(rig.bucket, requests.record(rig.bucket, PIPELINE))
    compared = shown.stretches["shadow"].compared
    assert compared.disagreements == compared.answered > 0


def test_a_version_that_answers_alike_leaves_the_shadow(rig: Rig) -> None:
    assert rig.release(1).succeeded
    rollout = Rollout(shadow=Shadowing(seconds=1, sample=1, min_pairs=20), analysis=CALM)
    with rig.traffic():
        state = rig.await_end(rig.ask(rig.publish(2), rollout=rollout))
    assert state.succeeded, state.message
    shown = view(rig.bucket, requests.record(rig.bucket, PIPELINE))
    assert shown.stretches["shadow"].compared.pairs >= 20


def _applied(rig: Rig) -> bool:
    record = requests.record(rig.bucket, PIPELINE)
    return all(requests.applied_on(rig.bucket, record).values())


def _version_for(rig: Rig, user: str) -> int:
    answer = _post(rig, user, {"inputs": {"x": [1.0]}})
    assert answer.status_code == 200, answer.text
    return int(answer.headers["x-nightshift-version"])


def _fail(rig: Rig, user: str) -> None:
    assert _post(rig, user, {"inputs": {"y": [1.0]}}).status_code == 400


def _post(rig: Rig, user: str, body: dict[str, object]) -> httpx.Response:
    url = f"http://{rig.machine.layout.rest}/v1/models/{PIPELINE}:predict"
    return httpx.post(url, json=body, headers={"x-user": user}, timeout=10)
