"""The release log on a real object store: racing writers, lost answers, two requests at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from nightshift.definition.rollout import CanaryStep, Rollout
from nightshift.errors import RefusedError
from nightshift.release import machine, progress, requests
from nightshift.release.candidate import Candidate
from nightshift.release.controller import Controller
from nightshift.release.event import Change
from nightshift.release.lease import Lease
from nightshift.release.log import LostRaceError, ReleaseLog, fold, pipelines
from nightshift.release.machine import ReleaseUnderWayError
from nightshift.release.record import Colour, Phase, ReleaseRecord
from tests.integration.judged import with_passed_gate
from tests.integration.servers import S3, wait_until
from tests.unit.release.builders import candidate, host, seen

PIPELINE = "flights"
WRITERS = 12


def judged(s3: S3, version: int) -> Candidate:
    """A version whose gate passed."""
    return with_passed_gate(s3.artifacts, PIPELINE, candidate(version))


def requested(version: int) -> Callable[[ReleaseRecord], Change]:
    return lambda record: machine.request(record, candidate(version), by="t", reason="r")


def aborted(record: ReleaseRecord) -> Change:
    return machine.abort(record, reason="enough")


def at_once(work: Callable[[int], object]) -> list[object]:
    """Run ``work(0…)`` in many threads that start together; each one's result or error."""
    barrier = threading.Barrier(WRITERS)

    def one(number: int) -> object:
        barrier.wait()
        try:
            return work(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(one, range(WRITERS)))


def test_of_writers_that_decided_on_the_same_record_one_appends(s3: S3) -> None:
    record = ReleaseLog(s3.artifacts, PIPELINE).record()

    def write(number: int) -> object:
        change = machine.request(record, candidate(number + 1), by="t", reason="r")
        return ReleaseLog(s3.artifacts, PIPELINE).append(record, change, by=f"writer {number}")

    results = at_once(write)
    losers = [result for result in results if isinstance(result, LostRaceError)]
    assert len(losers) == WRITERS - 1
    assert len(list(ReleaseLog(s3.artifacts, PIPELINE).events())) == 1


def test_of_racing_requests_one_is_the_release_and_the_others_are_told(s3: S3) -> None:
    results = at_once(
        lambda number: requests.ask(
            s3.artifacts, PIPELINE, judged(s3, number + 1), by="t", reason="r"
        )
    )
    assert sum(isinstance(result, str) for result in results) == 1
    assert sum(isinstance(result, ReleaseUnderWayError) for result in results) == WRITERS - 1


def test_the_same_request_from_many_at_once_is_one_release(s3: S3) -> None:
    results = at_once(
        lambda _: requests.ask(s3.artifacts, PIPELINE, judged(s3, 1), by="t", reason="r")
    )
    assert set(results) == {"00000001"}
    assert len(list(ReleaseLog(s3.artifacts, PIPELINE).events())) == 1


def test_racing_changes_are_neither_lost_nor_doubled(s3: S3) -> None:
    """Each writer asks and aborts by turns; whatever is written follows from what was before."""

    def write(number: int) -> int:
        log, written = ReleaseLog(s3.artifacts, PIPELINE), 0
        for turn in range(4):
            decide = requested(100 * number + turn + 1) if turn % 2 == 0 else aborted
            try:
                written += log.change(decide, by=f"writer {number}") is not None
            except (RefusedError, ReleaseUnderWayError):
                continue
        return written

    written = [result for result in at_once(write) if isinstance(result, int)]
    log = ReleaseLog(s3.artifacts, PIPELINE)
    events = list(log.events())
    assert len(written) == WRITERS and sum(written) == len(events) >= 2
    assert fold(PIPELINE, events) == log.record()


def test_writing_again_after_a_lost_answer_is_the_same_event(s3: S3) -> None:
    log = ReleaseLog(s3.artifacts, PIPELINE)
    record = log.record()
    change = requested(1)(record)
    first = log.append(record, change, by="t", event_id="mine")
    again = ReleaseLog(s3.artifacts, PIPELINE).append(record, change, by="t", event_id="mine")
    assert again == first
    with pytest.raises(LostRaceError):
        log.append(record, change, by="t", event_id="another")


def test_a_reader_sees_what_others_append_after_its_first_look(s3: S3) -> None:
    reader, writer = (ReleaseLog(s3.artifacts, PIPELINE) for _ in range(2))
    assert reader.last() is None and reader.record() == ReleaseRecord(pipeline=PIPELINE)
    for version in range(1, 4):
        writer.change(requested(version), by="t")
        writer.change(aborted, by="t")
        assert reader.record() == writer.record()
    assert reader.record().number == 6
    assert ReleaseLog(s3.artifacts, PIPELINE).record() == reader.record()


def test_pipelines_are_those_with_a_log(s3: S3) -> None:
    s3.artifacts.put("releases/controller/lease.json", b"{}")
    for name in ("fashion", "flights"):
        ReleaseLog(s3.artifacts, name).change(requested(1), by="t")
    assert pipelines(s3.artifacts) == ("fashion", "flights")


def test_watching_a_release_that_never_was_is_refused(s3: S3) -> None:
    for release in ("00000007", "latest"):
        with pytest.raises(RefusedError, match=release):
            requests.watch(s3.artifacts, PIPELINE, release)


def test_a_release_is_watched_to_its_own_end_and_not_a_later_ones(s3: S3) -> None:
    first = requests.ask(s3.artifacts, PIPELINE, judged(s3, 1), by="t", reason="r")
    assert not requests.watch(s3.artifacts, PIPELINE, first).ended
    requests.abort(s3.artifacts, PIPELINE, by="t", reason="changed my mind")
    second = requests.ask(s3.artifacts, PIPELINE, judged(s3, 2), by="t", reason="r")
    state = requests.watch(s3.artifacts, PIPELINE, first)
    assert state.ended and not state.succeeded and "changed my mind" in state.message
    assert not requests.watch(s3.artifacts, PIPELINE, second).ended


def test_a_repeated_rollback_that_names_what_it_leaves_is_refused_the_second_time(s3: S3) -> None:
    with pytest.raises(RefusedError, match="version 4 is not live"):
        requests.rollback(s3.artifacts, PIPELINE, by="t", reason="r", from_version=4)


def live(s3: S3, *versions: int) -> ReleaseLog:
    """A log in which these versions went live one after the other, on one obedient host."""
    for version in versions:
        go_live(s3, version)
    return ReleaseLog(s3.artifacts, PIPELINE)


def go_live(s3: S3, version: int, rollout: Rollout | None = None) -> None:
    requests.ask(s3.artifacts, PIPELINE, judged(s3, version), by="t", reason="r", rollout=rollout)
    obey(ReleaseLog(s3.artifacts, PIPELINE))


def obey(log: ReleaseLog) -> None:
    """One host does all that is asked of it."""
    while change := progress.step(log.record(), seen(host(log.record())), datetime.now(UTC)):
        log.append(log.record(), change, by="host")


def once(s3: S3) -> requests.RollbackState:
    """A task's roll-back to version 1, which may be asked for again."""
    return requests.rollback(
        s3.artifacts, PIPELINE, by="one task", reason="bad", to_version=1, once=True
    )


def test_further_back_while_the_newest_is_watched_is_one_roll_back_asked_for_twice(s3: S3) -> None:
    log = live(s3, 1, 2)
    go_live(s3, 3, Rollout(bake_seconds=1000))
    assert log.record().phase is Phase.BAKING
    first = once(s3)
    assert (first.from_version, first.to_version) == (3, 1) and first.release_id
    assert once(s3) == first
    obey(log)
    record = log.record()
    assert record.champion and record.champion.version == 1 and set(record.rejected) == {3}


def test_a_roll_back_killed_half_way_is_finished_by_asking_again(s3: S3) -> None:
    log = live(s3, 1, 2)
    go_live(s3, 3, Rollout(bake_seconds=1000))
    log.change(lambda record: machine.clear_the_way(record, reason="bad"), by="one task")
    state = once(s3)
    assert (state.from_version, state.to_version) == (3, 1)
    assert set(log.record().rejected) == {3}


def test_the_leader_gives_the_way_back_up_though_no_release_is_under_way(s3: S3) -> None:
    live(s3, 1)
    go_live(s3, 2, Rollout(keep_warm_seconds=0.2))
    leader = Controller(s3.artifacts, "one", Lease(s3.artifacts, "one"))

    def is_cold() -> bool:
        records = leader.tick()
        return records is not None and records[PIPELINE].slot(Colour.BLUE) is None

    wait_until(is_cold, seconds=10, what="version 1 is given up")
    assert requests.record(s3.artifacts, PIPELINE).blue is None


def test_who_names_the_version_to_leave_leaves_that_one_though_a_newer_one_is_in_the_way(
    s3: S3,
) -> None:
    log = live(s3, 1, 2)
    canary = Rollout(steps=(CanaryStep(weight=10, seconds=1000),))
    go_live(s3, 3, canary)
    assert log.record().phase is Phase.CANARY
    state = requests.rollback(s3.artifacts, PIPELINE, by="t", reason="bad", from_version=2)
    assert (state.from_version, state.to_version) == (2, 1)
    obey(log)
    record = log.record()
    assert record.champion and record.champion.version == 1 and set(record.rejected) == {2, 3}


SUPERSEDES = Rollout(when_under_way="supersede")


def test_a_release_that_is_not_live_yet_is_superseded_where_that_is_declared(s3: S3) -> None:
    requests.ask(s3.artifacts, PIPELINE, judged(s3, 1), by="t", reason="r")
    with pytest.raises(ReleaseUnderWayError):
        requests.ask(s3.artifacts, PIPELINE, judged(s3, 2), by="t", reason="r")
    release = requests.ask(
        s3.artifacts, PIPELINE, judged(s3, 2), by="t", reason="r", rollout=SUPERSEDES
    )
    assert requests.watch(s3.artifacts, PIPELINE, release).version == 2
    ended = requests.watch(s3.artifacts, PIPELINE, "00000001")
    assert ended.ended and "superseded by version 2" in ended.message


def test_no_release_supersedes_a_way_back(s3: S3) -> None:
    log = live(s3, 1, 2, 3)
    # Version 1 lies on no colour any more: it is staged first.
    state = requests.rollback(s3.artifacts, PIPELINE, by="t", reason="bad", to_version=1)
    assert state.release_id is not None
    with pytest.raises(ReleaseUnderWayError):
        requests.ask(s3.artifacts, PIPELINE, judged(s3, 4), by="t", reason="r", rollout=SUPERSEDES)
    asked = log.record().request
    assert log.record().phase.under_way and asked is not None
    assert asked.candidate.version == 1
