"""What an agent knows, as Prometheus reads it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nightshift.definition.rollout import Alarms, CanaryStep, Rollout
from nightshift.release import machine, projection
from nightshift.release.agent_metrics import AgentMetrics, Seen, allowed_seconds, families
from nightshift.release.analysis import Check
from nightshift.release.comparison import Compared
from nightshift.release.event import Change, EventKind
from nightshift.release.record import About, Freeze, Phase, ReleaseRecord
from nightshift.release.status import PipelineStatus, RouteStatus, SlotState, SlotStatus
from nightshift.release.survey import Drift, Findings, Tally
from nightshift.release.traffic import Counts, Stretch, Traffic
from nightshift.release.view import ReleaseView
from tests.unit.release.builders import START, asked, candidate, follow, released

NOW = START + timedelta(days=10)
PATIENT = Rollout(
    steps=(CanaryStep(weight=20, seconds=30),), patience_seconds=100, alarms=Alarms(stale_days=7)
)


def samples(seen: Seen, now: datetime = NOW) -> dict[str, float]:
    """Every sample under its name with its labels, as PromQL writes it."""
    return {
        f"{sample.name}{{{','.join(f'{k}={v}' for k, v in sample.labels.items())}}}": sample.value
        for family in families(seen, now)
        for sample in family.samples
    }


def of(record: ReleaseRecord, **more: object) -> Seen:
    return replace(Seen(host="one", records={"flights": record}), **more)  # type: ignore[arg-type]


def requested(rollout: Rollout = PATIENT) -> ReleaseRecord:
    """Version 2 asked for while version 1 is live."""
    change = machine.request(
        released(1), candidate(2), by="test", reason="a good night", rollout=rollout
    )
    return follow(released(1), change, seconds=0)


def in_canary() -> ReleaseRecord:
    record = requested()
    for kind in (EventKind.STAGED, EventKind.VERIFIED):
        record = follow(record, Change(kind=kind, reason="ready"))
    return follow(record, Change(kind=EventKind.STEPPED, step=0, reason="20%"))


def test_one_phase_is_marked_of_all_that_there_are() -> None:
    found = samples(of(in_canary()))
    phases = {n: v for n, v in found.items() if n.startswith("nightshift_release_phase{")}
    assert len(phases) == len(Phase)
    assert [name for name, value in phases.items() if value] == [
        "nightshift_release_phase{pipeline=flights,phase=canary}"
    ]


def test_what_became_of_sampled_requests_is_counted() -> None:
    found = samples(of(released(1), copies={"given": 9, "unreadable": 1}, kept={"dropped": 4}))
    assert found["nightshift_requests_copied_total{host=one,outcome=given}"] == 9
    assert found["nightshift_requests_copied_total{host=one,outcome=unreadable}"] == 1
    assert found["nightshift_requests_kept_total{host=one,outcome=dropped}"] == 4


def test_versions_weights_and_times_are_the_records() -> None:
    found = samples(of(in_canary()), START + timedelta(seconds=12))
    assert found["nightshift_live_version{pipeline=flights}"] == 1
    assert found["nightshift_release_version{pipeline=flights}"] == 2
    assert found["nightshift_release_step{pipeline=flights}"] == 1
    assert found["nightshift_release_phase_seconds{pipeline=flights}"] == 12
    assert found["nightshift_traffic_weight_percent{pipeline=flights,colour=blue}"] == 80
    assert found["nightshift_traffic_weight_percent{pipeline=flights,colour=green}"] == 20
    assert found["nightshift_colour_version{pipeline=flights,colour=green}"] == 2


def test_the_age_of_a_night_counts_from_its_end() -> None:
    # Version 1's night is 2 January 2026.
    noon = datetime(2026, 1, 6, 12, tzinfo=UTC)
    found = samples(of(released(1)), noon)
    assert found["nightshift_live_night_age_days{pipeline=flights}"] == 3.5


def test_before_the_first_release_nothing_is_made_up() -> None:
    found = samples(of(ReleaseRecord(pipeline="flights")))
    for name in ("live_version", "live_night_age_days", "release_version", "release_phase_seconds"):
        assert f"nightshift_{name}{{pipeline=flights}}" not in found


def test_limits_of_alarms_are_those_of_the_pipeline() -> None:
    found = samples(of(requested()))
    assert found["nightshift_alarm_limit{pipeline=flights,alarm=stale_days}"] == 7
    assert found["nightshift_alarm_limit{pipeline=flights,alarm=error_rate}"] == 0.02


@pytest.mark.parametrize(
    ("record", "seconds"),
    [
        (released(1), None),
        (requested(), machine.DEFAULT_TIMEOUT),
        # The step, then patience for requests, then hosts that have yet to route by it.
        (in_canary(), 30 + 100 + machine.DEFAULT_TIMEOUT),
    ],
)
def test_a_phase_has_so_long(record: ReleaseRecord, seconds: float | None) -> None:
    assert allowed_seconds(record, NOW) == seconds


def test_a_frozen_release_may_wait_for_the_freezes_end() -> None:
    record = requested()
    for kind in (EventKind.STAGED, EventKind.VERIFIED):
        record = follow(record, Change(kind=kind, reason="ready"))
    freeze = Freeze(until=START + timedelta(hours=1), by="ada", reason="holiday")
    record = follow(record, machine.freeze(record, freeze))
    assert allowed_seconds(record, NOW) == 3600 + machine.DEFAULT_TIMEOUT
    assert samples(of(record), START)["nightshift_release_frozen{pipeline=flights}"] == 1
    assert samples(of(record), NOW)["nightshift_release_frozen{pipeline=flights}"] == 0


def test_a_question_may_wait_for_its_answer() -> None:
    record = in_canary()
    change = Change(kind=EventKind.ASKED, about=About.QUIET, reason="too quiet")
    at = START + timedelta(seconds=130)
    record = projection.apply(record, change, number=record.number + 1, at=at)
    assert allowed_seconds(record, NOW) == 130 + PATIENT.answer_seconds
    assert samples(of(record))["nightshift_release_asks{pipeline=flights}"] == 1


def test_events_and_rejections_are_counted_and_begin_at_nought() -> None:
    tally = Tally(number=9, kinds={EventKind.ABORTED: 2}, rejections=1)
    found = samples(of(released(1), findings=Findings(tallies={"flights": tally})))
    assert found["nightshift_release_events_total{pipeline=flights,kind=aborted}"] == 2
    assert found["nightshift_release_events_total{pipeline=flights,kind=rolled_back}"] == 0
    assert found["nightshift_rejections_total{pipeline=flights}"] == 1


def test_a_host_shows_its_slots_its_route_and_what_it_counted() -> None:
    stretch = Stretch(
        traffic=Traffic(blue=Counts(requests=80), green=Counts(requests=20, failures=3, errors=1)),
        compared=Compared(pairs=10, disagreements=4),
    )
    status = PipelineStatus(
        number=7,
        green=SlotStatus(version=2, state=SlotState.FAILED, message="damaged"),
        route=RouteStatus(lacking_seconds=15),
        release="00000004",
        stretches={"canary-1": stretch},
        metrics_silent_seconds=3,
    )
    found = samples(of(in_canary(), statuses={"flights": status}))
    host = "host=one,pipeline=flights"
    assert found[f"nightshift_host_slot_state{{{host},colour=green,state=failed}}"] == 1
    assert found[f"nightshift_host_slot_state{{{host},colour=green,state=verified}}"] == 0
    assert found[f"nightshift_host_route_lacking_seconds{{{host}}}"] == 15
    assert found[f"nightshift_edge_metrics_silent_seconds{{{host}}}"] == 3
    counted = f"{{{host},stretch=canary-1,colour=green}}"
    assert found[f"nightshift_stretch_requests{counted}"] == 20
    assert found[f"nightshift_stretch_failures{counted}"] == 3
    assert found[f"nightshift_stretch_errors{counted}"] == 1
    compared = f"{{{host},stretch=canary-1}}"
    assert found[f"nightshift_stretch_compared_pairs{compared}"] == 10
    assert found[f"nightshift_stretch_compared_disagreements{compared}"] == 4


@pytest.mark.parametrize("draining", [False, True])
def test_a_host_shows_whether_it_is_out_of_service(draining: bool) -> None:
    found = samples(of(released(1), draining=draining))
    assert found["nightshift_host_draining{host=one}"] == draining


def test_the_leader_shows_hosts_evidence_and_drift() -> None:
    record = in_canary()
    findings = Findings(
        silences={"one": 0.5, "two": 40},
        views={"flights": ReleaseView(record, {}, (Check("latency", "slow", 0.7),))},
        drifts={"flights": Drift(2, {("holdout_drift", "carrier"): 0.3}, warnings=2)},
    )
    found = samples(of(record, leads=True, findings=findings, store_silent_seconds=0.2))
    assert found["nightshift_agent_leads{host=one}"] == 1
    assert found["nightshift_store_silent_seconds{host=one}"] == 0.2
    assert found["nightshift_host_silent_seconds{host=two}"] == 40
    assert found["nightshift_release_check_evidence{pipeline=flights,rule=latency}"] == 0.7
    distance = "nightshift_data_distance{pipeline=flights,kind=holdout_drift,column=carrier}"
    assert found[distance] == 0.3
    assert found["nightshift_data_warnings{pipeline=flights}"] == 2


def test_the_page_is_what_prometheus_reads() -> None:
    page = AgentMetrics(asked_for).page().decode()
    names = {family.name for family in text_string_to_metric_families(page)}
    assert {"nightshift_release_phase", "process_resident_memory_bytes"} <= names


def asked_for() -> Seen:
    return of(asked(released(1), 2))
