"""What each request and each report of a host does to a release."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from pydantic import ValidationError

from nightshift.errors import RefusedError
from nightshift.release import machine, progress
from nightshift.release.event import Change, EventKind
from nightshift.release.machine import ReleaseUnderWayError
from nightshift.release.record import Colour, Phase, ReleaseRecord, Weights
from nightshift.release.status import SlotState
from tests.unit.release.builders import (
    START,
    asked,
    candidate,
    follow,
    host,
    promoted,
    released,
    seen,
    stepped,
)

EMPTY = ReleaseRecord(pipeline="flights")


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_first_release_goes_to_blue_and_takes_all_traffic() -> None:
    record = released(1)
    assert (record.phase, record.live) == (Phase.FINISHED, Colour.BLUE)
    assert record.weights == Weights(blue=100, green=0)
    assert record.champion == candidate(1) and record.previous is None


def test_second_release_goes_to_the_other_colour_and_leaves_the_first_loaded() -> None:
    record = released(1, 2)
    assert record.live is Colour.GREEN
    assert record.blue == record.previous == candidate(1)


def test_staging_touches_neither_the_live_colour_nor_the_weights() -> None:
    before = released(1)
    after = asked(before, 2)
    assert (after.live, after.weights, after.blue) == (before.live, before.weights, before.blue)


def test_a_release_passes_every_phase_in_order() -> None:
    record, phases = asked(released(1), 2), [Phase.REQUESTED]
    while change := progress.step(record, seen(host(record)), later(1)):
        record = follow(record, change)
        phases.append(record.phase)
    assert phases == [
        Phase.REQUESTED,
        Phase.STAGED,
        Phase.VERIFIED,
        Phase.PROMOTED,
        Phase.FINISHED,
    ]


@pytest.mark.parametrize("state", [SlotState.EMPTY, SlotState.PULLING, SlotState.LOADING], ids=str)
def test_nothing_moves_before_the_candidate_is_loaded(state: SlotState) -> None:
    record = asked(released(1), 2)
    assert progress.step(record, seen(host(record, state=state)), later(1)) is None


def test_a_loaded_candidate_is_staged_and_not_promoted_before_it_is_verified() -> None:
    record = asked(released(1), 2)
    change = progress.step(record, seen(host(record, state=SlotState.AVAILABLE)), later(1))
    assert change is not None and change.kind is EventKind.STAGED
    record = follow(record, change)
    assert progress.step(record, seen(host(record, state=SlotState.AVAILABLE)), later(1)) is None


def test_every_listening_host_is_waited_for() -> None:
    record = asked(released(1), 2)
    hosts = [host(record, name="a"), host(record, name="b", state=SlotState.LOADING)]
    assert progress.step(record, seen(*hosts), later(1)) is None


def test_a_silent_host_is_named_and_left_out() -> None:
    record = asked(released(1), 2)
    gone = host(record, name="b", state=SlotState.LOADING, silent=True)
    change = progress.step(record, seen(host(record, name="a"), gone), later(1))
    assert change is not None and change.left_out == ("b",)


@pytest.mark.parametrize("silent", [False, True])
def test_a_drained_host_is_waited_for_in_no_phase_and_named_though_it_is_not_dead(
    silent: bool,
) -> None:
    record = asked(released(1), 2)
    while record.phase is not Phase.FINISHED:
        away = host(
            record,
            name="b",
            state=SlotState.LOADING,
            routed=False,
            silent=silent,
            draining=True,
        )
        change = progress.step(record, seen(host(record, name="a"), away), later(1))
        assert change is not None, record.phase
        assert (change.draining, change.left_out) == (("b",), ())
        record = follow(record, change)
    assert record.verdict == "version 2 answers on the host in service (drained: b)"


def test_a_candidate_that_fails_on_a_drained_host_is_not_condemned() -> None:
    record = asked(released(1), 2)
    broken = host(record, name="b", state=SlotState.FAILED, message="disk", draining=True)
    change = progress.step(record, seen(host(record, name="a"), broken), later(1))
    assert change is not None and change.kind is EventKind.STAGED


def test_with_every_host_drained_a_release_waits() -> None:
    record = asked(released(1), 2)
    assert progress.step(record, seen(host(record, draining=True)), later(10_000)) is None


def test_no_host_at_all_moves_nothing() -> None:
    record = asked(released(1), 2)
    assert progress.step(record, seen(), later(10_000)) is None


def test_a_failed_candidate_is_rejected_with_the_host_and_its_words() -> None:
    record = asked(released(1), 2)
    broken = host(record, name="a", state=SlotState.FAILED, message="digest of model.pb differs")
    change = progress.step(record, seen(broken, host(record, name="b")), later(1))
    assert change is not None
    after = follow(record, change)
    assert after.phase is Phase.ABORTED and after.champion == candidate(1)
    assert "a: digest of model.pb differs" in after.rejected[2]
    assert after.green is None


def test_a_failed_report_about_another_version_condemns_nobody() -> None:
    record = asked(released(1), 2)
    stale = host(released(1), state=SlotState.FAILED, message="of version 1")
    assert progress.step(record, seen(stale), later(1)) is None


def test_a_late_host_ends_the_release_without_rejecting_the_version() -> None:
    record = asked(released(1), 2)
    slow = host(record, state=SlotState.PULLING, message="the object store does not answer")
    assert progress.step(record, seen(slow), later(120)) is None
    change = progress.step(record, seen(slow), later(121))
    assert change is not None
    after = follow(record, change)
    assert after.phase is Phase.ABORTED and after.rejected == {}
    assert "one: pulling of version 2: the object store does not answer" in after.verdict
    assert stepped(asked(after, 2)).champion == candidate(2)


def test_a_promotion_that_a_host_does_not_follow_is_rolled_back() -> None:
    record = asked(released(1), 2)
    while record.phase is not Phase.PROMOTED:
        change = progress.step(record, seen(host(record)), later(1))
        assert change is not None
        record = follow(record, change)
    stuck = host(record, routed=False)
    assert progress.step(record, seen(stuck), later(2)) is None
    change = progress.step(record, seen(stuck), later(121))
    assert change is not None
    after = follow(record, change)
    assert after.phase is Phase.ROLLED_BACK and after.champion == candidate(1)
    assert after.green == candidate(2), "hosts may still be routing to it"


def test_a_first_promotion_has_no_way_back_and_goes_on_waiting() -> None:
    record = asked(EMPTY, 1)
    while record.phase is not Phase.PROMOTED:
        change = progress.step(record, seen(host(record)), later(1))
        assert change is not None
        record = follow(record, change)
    assert progress.step(record, seen(host(record, routed=False)), later(10_000)) is None


def test_an_older_night_needs_an_override() -> None:
    record = released(2)
    old = candidate(3, night=date(2025, 12, 1))
    with pytest.raises(RefusedError, match=r"2025-12-01.*override"):
        machine.request(record, old, by="t", reason="r")
    assert machine.request(record, old, by="t", reason="r", override=True).request is not None


def test_the_same_night_again_needs_no_override() -> None:
    record = released(2)
    again = candidate(3, night=candidate(2).night)
    assert machine.request(record, again, by="t", reason="r").request is not None


def test_a_rejected_version_is_refused_even_with_override() -> None:
    record = released(1, 2)
    record = follow(record, machine.roll_back(record, by="t", reason="wrong answers at sea"))
    with pytest.raises(RefusedError, match="wrong answers at sea"):
        machine.request(record, candidate(2), by="t", reason="r", override=True)


def test_one_release_at_a_time_and_the_second_may_try_again() -> None:
    record = asked(released(1), 2)
    with pytest.raises(ReleaseUnderWayError, match="version 2") as caught:
        machine.request(record, candidate(3), by="t", reason="r")
    assert caught.value.kind.retryable


def test_a_version_under_way_or_live_is_a_known_release() -> None:
    record = asked(released(1), 2)
    assert record.request is not None
    assert machine.known_release(record, 2) == record.request.id
    assert machine.known_release(stepped(record), 2) == record.request.id
    assert machine.known_release(stepped(record), 1) is None


def test_rolling_back_is_one_change_while_the_other_colour_holds_the_version() -> None:
    record = released(1, 2)
    after = follow(record, machine.roll_back(record, by="t", reason="wrong"))
    assert after.phase is Phase.ROLLED_BACK
    assert (after.live, after.champion) == (Colour.BLUE, candidate(1))
    assert after.rejected == {2: "wrong"} and after.previous is None


def test_rolling_back_further_stages_and_verifies_the_old_version_first() -> None:
    record = released(1, 2, 3)
    change = machine.roll_back(record, by="t", reason="both wrong", to_version=1)
    record = follow(record, change)
    assert record.phase is Phase.REQUESTED and record.champion == candidate(3)
    assert record.rejected == {}, "still live: rejected only once it no longer is"
    record = stepped(record)
    assert record.phase is Phase.FINISHED and record.champion == candidate(1)
    assert 3 in record.rejected and "both wrong" in record.rejected[3]


def test_rolling_back_during_a_staging_must_abort_it_first() -> None:
    with pytest.raises(ReleaseUnderWayError):
        machine.roll_back(asked(released(1, 2), 3), by="t", reason="wrong")


def test_after_a_version_was_left_unrejected_the_way_back_skips_it_all_the_same() -> None:
    record = promoted(released(1), 2)
    record = follow(record, machine.abort(record, reason="a host is late"))
    assert record.champion == candidate(1) and not record.rejected
    record = stepped(asked(record, 3))
    assert record.previous == candidate(1) == record.slot(record.idle)
    change = machine.roll_back(record, by="t", reason="wrong")
    assert change.kind is EventKind.ROLLED_BACK


def test_further_back_than_a_version_that_is_still_watched() -> None:
    """It is left at once and rejected; the one between is passed over, and not rejected."""
    record = promoted(released(1, 2), 3)
    with pytest.raises(ReleaseUnderWayError):
        machine.roll_back(record, by="t", reason="wrong", to_version=1)
    cleared = machine.clear_the_way(record, reason="wrong")
    assert cleared is not None
    record = follow(record, cleared)
    assert record.champion == candidate(2) and set(record.rejected) == {3}
    change = machine.roll_back(record, by="t", reason="wrong", to_version=1, left=cleared.reject)
    record = stepped(follow(record, change))
    assert record.champion == candidate(1) and set(record.rejected) == {3}


def test_a_staged_roll_back_has_as_long_as_the_releases_had() -> None:
    record = released(1, 2)
    change = machine.request(record, candidate(3), by="t", reason="r", timeout_seconds=900)
    record = stepped(follow(record, change))
    for _ in range(2):
        change = machine.roll_back(record, by="t", reason="wrong", to_version=1)
        assert change.request is not None and change.request.timeout_seconds == 900
        record = follow(follow(record, change), machine.abort(follow(record, change), reason="r"))


def test_rolling_back_without_an_earlier_version_is_refused() -> None:
    with pytest.raises(RefusedError, match="no earlier live version"):
        machine.roll_back(released(1), by="t", reason="wrong")
    with pytest.raises(RefusedError, match="no version is live"):
        machine.roll_back(EMPTY, by="t", reason="wrong")


def test_rolling_back_to_a_version_that_was_never_live_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"those are \[1\]"):
        machine.roll_back(released(1, 2), by="t", reason="wrong", to_version=7)


def test_aborting_gives_the_idle_colour_back() -> None:
    record = asked(released(1), 2)
    after = follow(record, machine.abort(record, reason="changed my mind"))
    assert after.phase is Phase.ABORTED and after.green is None and after.rejected == {}


def test_aborting_at_rest_is_refused() -> None:
    with pytest.raises(RefusedError, match="no release is under way"):
        machine.abort(released(1), reason="why not")


def test_a_record_with_two_live_colours_cannot_be_made() -> None:
    record = released(1, 2)
    with pytest.raises(ValidationError, match="sum to 100"):
        ReleaseRecord.model_validate({**dict(record), "weights": Weights(blue=100, green=100)})


def test_a_change_that_would_revive_a_rejected_version_cannot_be_applied() -> None:
    record = released(1, 2)
    record = follow(record, machine.roll_back(record, by="t", reason="wrong"))
    with pytest.raises(ValidationError, match="live and rejected"):
        follow(record, Change(kind=EventKind.ROLLED_BACK, reason="?", to=Colour.GREEN))
