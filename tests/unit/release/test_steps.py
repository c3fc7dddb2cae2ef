"""Shadow, canary and baking: what ends a phase, what holds it, what a person is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from nightshift.definition.rollout import CanaryStep, Rollout, Shadowing
from nightshift.errors import RefusedError
from nightshift.release import machine, progress
from nightshift.release.comparison import Compared
from nightshift.release.event import Change, EventKind
from nightshift.release.observation import HostView, Observation
from nightshift.release.record import About, Freeze, Phase, ReleaseRecord, Weights
from nightshift.release.status import SlotState
from nightshift.release.traffic import Counts, Stretch, Traffic
from tests.unit.release.builders import START, candidate, follow, host, released, seen

ONE_STEP = Rollout(
    steps=(CanaryStep(weight=10, seconds=60, min_requests=100),),
    bake_seconds=60,
    patience_seconds=600,
)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def asked(record: ReleaseRecord, version: int, rollout: Rollout) -> ReleaseRecord:
    change = machine.request(record, candidate(version), by="t", reason="r", rollout=rollout)
    return follow(record, change)


def report(
    record: ReleaseRecord,
    *,
    name: str = "one",
    new: Counts | None = None,
    old: Counts | None = None,
    pairs: int = 0,
    silent_metrics: float = 0,
    routed: bool = True,
    lacking: float = 0,
) -> HostView:
    """An obedient host, and what it counted in the phase that goes on."""
    view = host(record, name=name, routed=routed)
    assert view.status is not None and record.request is not None
    colour = record.request.colour
    counts = {colour.value: new or Counts(), colour.other.value: old or Counts()}
    traffic = Traffic().model_copy(update=counts)
    stretch = Stretch(traffic=traffic, compared=Compared(pairs=pairs))
    status = view.status.model_copy(
        update={
            "release": record.request.id,
            "stretches": {record.stretch: stretch} if record.stretch else {},
            "metrics_silent_seconds": silent_metrics,
            "route": view.status.route.model_copy(update={"lacking_seconds": lacking}),
        }
    )
    return HostView(name, view.silent, status)


def until(record: ReleaseRecord, phase: Phase, seconds: float = 1) -> ReleaseRecord:
    """The record once obedient hosts have brought it to a phase."""
    while record.phase is not phase:
        change = progress.step(record, seen(report(record)), at(seconds))
        assert change is not None, record.phase
        record = follow(record, change, seconds=seconds)
    return record


def canary(rollout: Rollout = ONE_STEP) -> ReleaseRecord:
    return until(asked(released(1), 2, rollout), Phase.CANARY)


def step(record: ReleaseRecord, seconds: float, *hosts: HostView) -> Change | None:
    return progress.step(record, Observation(hosts), at(seconds))


def test_a_canary_takes_its_share_and_the_live_version_keeps_the_rest() -> None:
    record = canary()
    assert record.weights == Weights(blue=90, green=10)
    assert record.champion == candidate(1) and record.newest == candidate(2)


def test_a_step_waits_for_its_time_its_requests_and_every_host() -> None:
    record, enough = canary(), Counts(requests=60)
    both = [report(record, name=name, new=enough) for name in ("one", "two")]
    assert step(record, 30, *both) is None
    assert step(record, 70, both[0]) is None, "60 of 100 requests"
    late = report(record, name="two", new=enough, routed=False)
    assert step(record, 70, both[0], late) is None
    change = step(record, 70, *both)
    assert change is not None and change.kind is EventKind.PROMOTED


def test_a_drained_host_neither_holds_a_step_nor_ends_it() -> None:
    record = canary()
    stuck = report(record, name="two", routed=False, lacking=1000, silent_metrics=1000)
    away = replace(stuck, draining=True)
    change = step(record, 70, report(record, new=Counts(requests=100)), away)
    assert change is not None and change.kind is EventKind.PROMOTED and change.draining == ("two",)


def test_a_first_version_has_nobody_to_be_compared_with_and_goes_live_at_once() -> None:
    record = asked(ReleaseRecord(pipeline="flights"), 1, ONE_STEP)
    assert until(record, Phase.PROMOTED).champion == candidate(1)


def test_failures_in_the_canary_end_it_and_reject_the_version() -> None:
    record = canary()
    bad = report(record, new=Counts(requests=100, failures=20), old=Counts(requests=900))
    change = step(record, 5, bad)
    assert change is not None and change.kind is EventKind.ABORTED
    assert "20 of 100 (20.00%) failed" in change.reason and "canary-1" in change.reason
    after = follow(record, change)
    assert after.weights == Weights(blue=100) and after.green is None
    assert set(after.rejected) == {2}


def test_errors_while_baking_roll_back_by_themselves() -> None:
    record = until(asked(released(1), 2, Rollout(bake_seconds=60)), Phase.BAKING)
    bad = report(record, new=Counts(requests=200, failures=100, errors=100))
    change = step(record, 5, bad)
    assert change is not None and change.kind is EventKind.ROLLED_BACK
    after = follow(record, change)
    assert after.champion == candidate(1) and set(after.rejected) == {2}


def test_baking_ends_in_the_finish() -> None:
    record = until(asked(released(1), 2, Rollout(bake_seconds=60)), Phase.BAKING)
    assert step(record, 30, report(record)) is None
    change = step(record, 70, report(record))
    assert change is not None and change.kind is EventKind.FINISHED


def test_a_quiet_step_asks_a_person_after_its_patience() -> None:
    record = canary()
    assert step(record, 600, report(record)) is None
    change = step(record, 700, report(record))
    assert change is not None and change.about is About.QUIET
    assert "0 of 100 requests" in change.reason
    record = follow(record, change, seconds=700)
    assert step(record, 800, report(record)) is None
    yes = follow(record, machine.answer(record, go_on=True, reason="Sunday"), seconds=810)
    change = step(yes, 811, report(yes))
    assert change is not None and change.kind is EventKind.PROMOTED


def test_a_no_ends_the_release_and_rejects_the_version() -> None:
    record = canary()
    change = step(record, 700, report(record))
    assert change is not None
    record = follow(record, change)
    no = follow(record, machine.answer(record, go_on=False, reason="looks odd"))
    assert no.phase is Phase.ABORTED and "looks odd" in no.rejected[2]


def test_a_question_that_nobody_answers_ends_the_release_and_rejects_nothing() -> None:
    record = canary(ONE_STEP.model_copy(update={"answer_seconds": 100.0}))
    change = step(record, 700, report(record))
    assert change is not None
    record = follow(record, change, seconds=700)
    assert step(record, 790, report(record)) is None
    change = step(record, 801, report(record))
    assert change is not None and change.kind is EventKind.ABORTED and change.reject is None


@pytest.mark.parametrize(
    ("when_quiet", "kind"), [("proceed", EventKind.APPROVED), ("abort", EventKind.ABORTED)]
)
def test_quiet_can_go_on_or_end_by_itself(when_quiet: str, kind: EventKind) -> None:
    record = canary(ONE_STEP.model_copy(update={"when_quiet": when_quiet}))
    change = step(record, 700, report(record))
    assert change is not None and change.kind is kind and change.reject is None


def test_a_person_is_asked_before_promotion_where_that_is_declared() -> None:
    rollout = Rollout(approve="before_promotion")
    record = until(asked(released(1), 2, rollout), Phase.VERIFIED)
    change = step(record, 2, report(record))
    assert change is not None and change.about is About.PROMOTION
    record = follow(record, change, seconds=2)
    assert step(record, 1000, report(record)) is None
    record = follow(record, machine.answer(record, go_on=True, reason="go"), seconds=3)
    assert until(record, Phase.FINISHED, 4).champion == candidate(2)


def test_an_answer_counts_for_the_question_it_was_given_to_alone() -> None:
    rollout = ONE_STEP.model_copy(update={"approve": "before_promotion"})
    record = canary(rollout)
    quiet = step(record, 700, report(record))
    assert quiet is not None
    record = follow(record, quiet)
    assert record.request is not None
    answer = partial(machine.answer, reason="r", release_id=record.request.id, about=About.QUIET)
    record = follow(record, answer(record, go_on=True))
    promotion = step(record, 701, report(record))
    assert promotion is not None and promotion.about is About.PROMOTION
    record = follow(record, promotion)
    for go_on in (True, False):
        with pytest.raises(RefusedError, match="asks of promotion by now"):
            answer(record, go_on=go_on)
    with pytest.raises(RefusedError, match="no release asks"):
        machine.answer(record, go_on=True, reason="late", release_id="00000001")


def test_nothing_asked_nothing_answered() -> None:
    with pytest.raises(RefusedError, match="no release asks"):
        machine.answer(canary(), go_on=True, reason="?")


def test_the_shadow_ends_with_enough_compared_requests_and_no_client_sees_it() -> None:
    rollout = Rollout(shadow=Shadowing(seconds=10, min_pairs=50))
    record = until(asked(released(1), 2, rollout), Phase.SHADOW)
    assert record.weights == Weights(blue=100)
    assert step(record, 20, report(record, pairs=49)) is None
    change = step(record, 20, report(record, pairs=50))
    assert change is not None and change.kind is EventKind.PROMOTED


def test_a_freeze_holds_what_has_moved_no_traffic_and_nothing_else() -> None:
    freeze = Freeze(until=at(100), by="t", reason="holidays")
    record = until(asked(released(1), 2, ONE_STEP), Phase.VERIFIED)
    held = follow(record, machine.freeze(record, freeze))
    assert held.phase is Phase.VERIFIED and held.since == record.since
    assert step(held, 99, report(held)) is None
    change = step(held, 101, report(held))
    assert change is not None and change.kind is EventKind.STEPPED
    thawed = follow(held, machine.thaw(held, reason="r"))
    assert step(thawed, 50, report(thawed)) is not None
    moving = canary()
    moving = follow(moving, machine.freeze(moving, freeze))
    assert step(moving, 70, report(moving, new=Counts(requests=100))) is not None


def test_a_freeze_holds_a_shadow_and_asks_nobody_meanwhile() -> None:
    rollout = Rollout(shadow=Shadowing(seconds=10, min_pairs=50), patience_seconds=5)
    record = until(asked(released(1), 2, rollout), Phase.SHADOW)
    freeze = Freeze(until=at(100), by="t", reason="holidays")
    record = follow(record, machine.freeze(record, freeze))
    assert step(record, 50, report(record, pairs=50)) is None
    assert step(record, 50, report(record)) is None
    change = step(record, 101, report(record, pairs=50))
    assert change is not None and change.kind is EventKind.PROMOTED
    change = step(record, 101, report(record))
    assert change is not None and change.about is About.QUIET


def test_a_server_restarted_during_a_freeze_does_not_end_the_release() -> None:
    record = until(asked(released(1), 2, ONE_STEP), Phase.VERIFIED)
    freeze = Freeze(until=at(1000), by="t", reason="holidays")
    record = follow(record, machine.freeze(record, freeze))
    assert step(record, 900, host(record, state=SlotState.LOADING)) is None


def test_unreachable_metrics_end_the_release_after_a_while_and_reject_nothing() -> None:
    record = canary()
    assert step(record, 70, report(record, silent_metrics=30)) is None
    change = step(record, 70, report(record, silent_metrics=61))
    assert change is not None and change.kind is EventKind.ABORTED and change.reject is None
    assert "metrics cannot be read" in change.reason


def test_a_route_that_is_lost_for_a_moment_in_a_long_step_ends_nothing() -> None:
    record = canary()
    assert step(record, 500, report(record, routed=False, lacking=5)) is None
    change = step(record, 500, report(record, routed=False, lacking=125))
    assert change is not None and change.kind is EventKind.ABORTED and change.reject is None


def test_the_way_back_is_given_up_once_it_was_kept_warm_long_enough() -> None:
    record = until(asked(released(1), 2, Rollout(keep_warm_seconds=60)), Phase.FINISHED)
    assert step(record, 30, report(record)) is None
    change = step(record, 62, report(record))
    assert change is not None and change.kind is EventKind.COOLED
    cold = follow(record, change, seconds=62)
    assert cold.blue is None and cold.phase is Phase.FINISHED and cold.since == record.since
    assert step(cold, 1000, report(cold)) is None
    back = machine.roll_back(cold, by="t", reason="wrong")
    assert back.kind is EventKind.REQUESTED, "it is staged again first"


def test_a_roll_back_in_a_canary_leaves_the_canary_for_the_live_version() -> None:
    change = machine.roll_back(canary(), by="t", reason="odd")
    assert change.kind is EventKind.ABORTED and change.reject == 2


def test_a_roll_back_of_the_live_version_under_a_canary_ends_the_canary_first() -> None:
    record = until(asked(released(1, 2), 3, ONE_STEP), Phase.CANARY)
    with pytest.raises(machine.ReleaseUnderWayError):
        machine.roll_back(record, by="t", reason="odd", from_version=2)


def test_many_bad_versions_in_a_row_do_not_push_the_good_one_out_of_reach() -> None:
    record = released(1)
    for version in range(2, 15):
        record = until(asked(record, version, Rollout()), Phase.FINISHED)
        record = follow(record, machine.roll_back(record, by="t", reason="bad"))
        assert record.champion == candidate(1)


def test_steps_must_rise() -> None:
    with pytest.raises(ValueError, match="must rise"):
        Rollout(steps=(CanaryStep(weight=50), CanaryStep(weight=10)))
