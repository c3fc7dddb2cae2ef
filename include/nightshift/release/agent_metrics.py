"""What Prometheus reads at the agent's ``/metrics``: the release machine and this host, as samples.

A pure function from what the agent knows (:class:`Seen`) to metrics, and the collector that asks
it at every scrape. What the log says, every agent says alike: take ``max by (pipeline)`` of it.
Metrics with the label ``host`` are the host's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nightshift.release.event import EventKind
from nightshift.release.progress import lasts
from nightshift.release.record import Colour, Phase, ReleaseRecord
from nightshift.release.status import PipelineStatus, SlotState
from nightshift.release.survey import Findings

_Samples = Iterable[tuple[tuple[str, ...], float]]
_DAY = 86_400.0


@dataclass(frozen=True)
class Seen:
    """What one agent knows at one moment.

    Attributes:
        host: Its host.
        records: What the host acts on, by pipeline.
        statuses: What the host reports, by pipeline.
        leads: Whether this agent leads.
        draining: Whether the host is out of service.
        store_silent_seconds: How long ago the object store was last reached.
        findings: What the survey found.
        copies: What became of each request that Envoy copied (:attr:`Recorder.counts`).
        kept: Rows of requests written to the lake, dropped and unfit (:attr:`RequestLog.counts`).
    """

    host: str
    records: Mapping[str, ReleaseRecord] = field(default_factory=dict)
    statuses: Mapping[str, PipelineStatus] = field(default_factory=dict)
    leads: bool = False
    draining: bool = False
    store_silent_seconds: float = 0.0
    findings: Findings = field(default_factory=Findings)
    copies: Mapping[str, int] = field(default_factory=dict)
    kept: Mapping[str, int] = field(default_factory=dict)


class AgentMetrics(Collector):
    """The agent's page for Prometheus. Any thread may call.

    Args:
        look: Gives what the agent knows now.
    """

    def __init__(self, look: Callable[[], Seen]) -> None:
        self._look = look
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def describe(self) -> list[Metric]:
        """Nothing: what there is depends on the log."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics as of now."""
        return families(self._look(), datetime.now(UTC))

    def page(self) -> bytes:
        """The text that Prometheus reads, of the type ``CONTENT_TYPE_LATEST``."""
        return generate_latest(self._registry)


def families(seen: Seen, now: datetime) -> Iterator[Metric]:
    """Every metric of an agent.

    Args:
        seen: What it knows.
        now: UTC, by this host's clock.
    """
    yield from _agent(seen)
    yield from _sampled(seen)
    yield from _log(seen)
    for part in (_release, _live, _traffic):
        yield from part(seen.records.values(), now)
    yield from _host(seen)
    yield from _requests(seen)
    yield from _analysis(seen)
    yield from _drift(seen)


def allowed_seconds(record: ReleaseRecord, now: datetime) -> float | None:
    """After so long in its phase a release has gone on or has ended, if the machine works.

    None where no release is under way.
    """
    asked, since = record.request, record.since
    if not record.phase.under_way or asked is None or since is None:
        return None
    if record.question is not None and record.asked_at is not None:
        return (record.asked_at - since).total_seconds() + asked.rollout.answer_seconds
    hosts = asked.timeout_seconds
    held = 0.0
    if record.phase in (Phase.VERIFIED, Phase.SHADOW) and record.freeze is not None:
        held = max(0.0, (record.freeze.until - since).total_seconds())
    if record.phase.is_judged:
        return max(held, lasts(record, asked)) + asked.rollout.patience_seconds + hosts
    return held + hosts


def _agent(seen: Seen) -> Iterator[Metric]:
    host = (seen.host,)
    yield _gauge(
        "agent_leads", "1 where this agent leads the others.", ["host"], [(host, seen.leads)]
    )
    yield _gauge(
        "host_draining",
        "1 while the host is out of service: drained, or not yet caught up since.",
        ["host"],
        [(host, seen.draining)],
    )
    yield _gauge(
        "store_silent_seconds",
        "Seconds since the agent last reached the object store.",
        ["host"],
        [(host, seen.store_silent_seconds)],
    )
    yield _gauge(
        "host_silent_seconds",
        "Seconds since a host's last sign of life, as the leader hears it.",
        ["host"],
        (((name,), value) for name, value in seen.findings.silences.items()),
    )


def _sampled(seen: Seen) -> Iterator[Metric]:
    yield _counter(
        "requests_copied",
        "Requests that Envoy copied, by what became of them: given, or why not.",
        ["host", "outcome"],
        (((seen.host, outcome), count) for outcome, count in seen.copies.items()),
    )
    yield _counter(
        "requests_kept",
        "Rows of requests by what became of them: written to the lake, dropped; requests unfit "
        "for the features; files.",
        ["host", "outcome"],
        (((seen.host, outcome), count) for outcome, count in seen.kept.items()),
    )


def _log(seen: Seen) -> Iterator[Metric]:
    tallies = seen.findings.tallies
    yield _counter(
        "release_events",
        "Events of the release log by kind: finished, aborted, rolled_back and all others.",
        ["pipeline", "kind"],
        (
            ((name, kind), tally.kinds.get(kind, 0))
            for name, tally in tallies.items()
            for kind in EventKind
        ),
    )
    yield _counter(
        "rejections",
        "Versions that were rejected: stopped by analysis, refused by a host or a person.",
        ["pipeline"],
        (((name,), tally.rejections) for name, tally in tallies.items()),
    )


def _release(records: Iterable[ReleaseRecord], now: datetime) -> Iterator[Metric]:
    known = list(records)
    yield _gauge(
        "release_phase",
        "1 for the phase of the newest release.",
        ["pipeline", "phase"],
        (((r.pipeline, phase), phase is r.phase) for r in known for phase in Phase),
    )
    yield _of_pipelines(
        "release_phase_seconds",
        "Seconds that the newest release is in its phase.",
        ((r, _since(r.since, now)) for r in known),
    )
    yield _of_pipelines(
        "release_phase_allowed_seconds",
        "Seconds after which a release under way has left its phase, if all is well.",
        ((r, allowed_seconds(r, now)) for r in known),
    )
    yield _of_pipelines(
        "release_version",
        "Version of the newest release.",
        ((r, r.request.candidate.version if r.request else None) for r in known),
    )
    yield _of_pipelines(
        "release_step",
        "Step of the newest release's canary, from 1; 0 outside it.",
        ((r, r.step + 1 if r.phase is Phase.CANARY else 0) for r in known),
    )
    yield _of_pipelines(
        "release_asks",
        "1 while a release waits for a person.",
        ((r, r.phase.under_way and r.question is not None) for r in known),
    )
    yield _of_pipelines(
        "release_frozen",
        "1 while releases are held.",
        ((r, r.freeze is not None and now < r.freeze.until) for r in known),
    )
    yield _of_pipelines(
        "rejected_versions",
        "Versions that are never live again.",
        ((r, len(r.rejected)) for r in known),
    )
    yield _gauge(
        "alarm_limit",
        "Limits of release.alarms in pipeline.yaml, as the newest release carries them.",
        ["pipeline", "alarm"],
        (
            ((r.pipeline, alarm), value)
            for r in known
            if r.request
            for alarm, value in r.request.rollout.alarms
        ),
    )


def _live(records: Iterable[ReleaseRecord], now: datetime) -> Iterator[Metric]:
    known = list(records)
    yield _of_pipelines(
        "live_version",
        "The version that answers for the pipeline.",
        ((r, r.champion.version if r.champion else None) for r in known),
    )
    yield _of_pipelines(
        "live_night_age_days",
        "Days since the last day of data that the live version knows.",
        (
            (r, (now - _midnight_after(r)).total_seconds() / _DAY if r.champion else None)
            for r in known
        ),
    )
    yield _of_pipelines(
        "versions_let_through",
        "Of the last ten live versions, those that a person let through where the gate did not.",
        ((r, sum(c.decision is not None for c in r.history)) for r in known),
    )


def _midnight_after(record: ReleaseRecord) -> datetime:
    """The end of the live version's night; its time zone is not known here, so UTC's."""
    assert record.champion is not None
    night = record.champion.night
    start = datetime(night.year, night.month, night.day, tzinfo=UTC)
    return datetime.fromtimestamp(start.timestamp() + _DAY, UTC)


def _traffic(records: Iterable[ReleaseRecord], now: datetime) -> Iterator[Metric]:
    known = list(records)
    yield _gauge(
        "traffic_weight_percent",
        "Share of the traffic that a colour should take.",
        ["pipeline", "colour"],
        (((r.pipeline, colour), r.weights.of(colour)) for r in known for colour in Colour),
    )
    held = ((r, colour, r.slot(colour)) for r in known for colour in Colour)
    yield _gauge(
        "colour_version",
        "The version that a colour should hold.",
        ["pipeline", "colour"],
        (((r.pipeline, colour), slot.version) for r, colour, slot in held if slot),
    )


def _host(seen: Seen) -> Iterator[Metric]:
    statuses = seen.statuses.items()
    yield _gauge(
        "host_slot_state",
        "1 for the state of a colour's model server on this host.",
        ["host", "pipeline", "colour", "state"],
        (
            ((seen.host, name, colour, state), state is status.slot(colour).state)
            for name, status in statuses
            for colour in Colour
            for state in SlotState
        ),
    )
    yield _gauge(
        "host_route_lacking_seconds",
        "Seconds for which this host's route has not been what the record says; 0 while it is.",
        ["host", "pipeline"],
        (((seen.host, name), status.route.lacking_seconds) for name, status in statuses),
    )
    yield _gauge(
        "edge_metrics_silent_seconds",
        "Seconds for which the host could not read Envoy's metrics for a release; 0 while it can.",
        ["host", "pipeline"],
        (((seen.host, name), status.metrics_silent_seconds) for name, status in statuses),
    )
    yield _gauge(
        "host_event",
        "The newest event of the log that this host has read.",
        ["host", "pipeline"],
        (((seen.host, name), status.number) for name, status in statuses),
    )


def _requests(seen: Seen) -> Iterator[Metric]:
    """What this host counted in the newest judged release: they begin anew with each release."""
    stretches = [
        (name, stretch, counted)
        for name, status in seen.statuses.items()
        for stretch, counted in status.stretches.items()
    ]
    for what in ("requests", "failures", "errors"):
        yield _gauge(
            f"stretch_{what}",
            f"{what.capitalize()} of the newest release's phase or step on this host.",
            ["host", "pipeline", "stretch", "colour"],
            (
                ((seen.host, name, stretch, c), getattr(counted.traffic.of(c), what))
                for name, stretch, counted in stretches
                for c in Colour
            ),
        )
    for what, text in _COMPARED.items():
        yield _gauge(
            f"stretch_compared_{what}",
            f"{text}, in the newest release's phase or step on this host.",
            ["host", "pipeline", "stretch"],
            (
                ((seen.host, name, stretch), getattr(counted.compared, what))
                for name, stretch, counted in stretches
            ),
        )


_COMPARED = {
    "pairs": "Requests that both versions were asked",
    "disagreements": "Requests that the two versions answered differently",
    "dropped": "Sampled requests that were not compared, because too many came at once",
}


def _analysis(seen: Seen) -> Iterator[Metric]:
    yield _gauge(
        "release_check_evidence",
        "Evidence against the newest release by rule, over all hosts; 1 condemns. From the leader.",
        ["pipeline", "rule"],
        (
            ((name, check.rule), check.evidence)
            for name, view in seen.findings.views.items()
            for check in view.checks
        ),
    )


def _drift(seen: Seen) -> Iterator[Metric]:
    drifts = seen.findings.drifts
    yield _gauge(
        "data_distance",
        "Distance of a column of the newest version's data from what it was held to.",
        ["pipeline", "kind", "column"],
        (
            ((name, kind, column), value)
            for name, drift in drifts.items()
            for (kind, column), value in drift.distances.items()
        ),
    )
    yield _gauge(
        "data_warnings",
        "What the data report of the newest version's night warns of, counted.",
        ["pipeline"],
        (((name,), drift.warnings) for name, drift in drifts.items()),
    )


def _of_pipelines(
    name: str, text: str, values: Iterable[tuple[ReleaseRecord, float | None]]
) -> Metric:
    """One number a pipeline; no sample where it is not known."""
    samples = (((record.pipeline,), value) for record, value in values if value is not None)
    return _gauge(name, text, ["pipeline"], samples)


def _gauge(name: str, text: str, labels: list[str], samples: _Samples) -> Metric:
    return _filled(GaugeMetricFamily(f"nightshift_{name}", text, labels=labels), samples)


def _counter(name: str, text: str, labels: list[str], samples: _Samples) -> Metric:
    return _filled(CounterMetricFamily(f"nightshift_{name}", text, labels=labels), samples)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, samples: _Samples) -> Metric:
    for labels, value in samples:
        family.add_metric([str(label) for label in labels], float(value))
    return family


def _since(moment: datetime | None, now: datetime) -> float | None:
    return max(0.0, (now - moment).total_seconds()) if moment else None
