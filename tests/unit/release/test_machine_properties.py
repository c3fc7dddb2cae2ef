"""What holds in every order of requests, reports, silences, roll-backs and racing writers."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nightshift.errors import NightshiftError
from nightshift.release import machine, progress
from nightshift.release.event import Change, Event
from nightshift.release.log import fold
from nightshift.release.observation import HostView
from nightshift.release.record import Colour, Phase, ReleaseRecord
from nightshift.release.status import PipelineStatus, RouteStatus, SlotState, SlotStatus
from tests.unit.release.builders import START, candidate, follow, seen

HOSTS = ("a", "b", "c")
STATES = st.sampled_from(list(SlotState))


class Releases(RuleBasedStateMachine):
    """Hosts report anything; people ask for anything; writers decide on records long gone."""

    def __init__(self) -> None:
        super().__init__()
        self.record = ReleaseRecord(pipeline="flights")
        self.events: list[Event] = []
        self.records = [self.record]
        self.seconds = 0.0
        self.hosts = {name: PipelineStatus() for name in HOSTS}
        self.silent: set[str] = set()
        self.version = 0
        self.left: set[int] = set()

    def write(self, change: Change, number: int) -> bool:
        """The log's compare-and-swap: only the next number is written."""
        if number != len(self.events) + 1:
            return False
        after = follow(self.record, change, seconds=self.seconds)
        at = START + timedelta(seconds=self.seconds)
        self.events.append(
            Event(id=str(number), number=number, at=at, by="t", change=change, record=after)
        )
        self.check_transition(self.record, after)
        self.record = after
        self.records.append(after)
        return True

    def check_transition(self, before: ReleaseRecord, after: ReleaseRecord) -> None:
        if before.live is not None:
            assert after.slot(before.live) == before.champion, "the live colour was touched"
            held = after.phase is Phase.PROMOTED and before.slot(before.live)
            assert not held or after.slot(before.live) == held, "the way back was unloaded"
        if after.phase is Phase.PROMOTED:
            assert before.phase is Phase.VERIFIED

    @rule(
        new=st.booleans(),
        back=st.integers(0, 4),
        days=st.integers(-3, 3),
        override=st.booleans(),
    )
    def ask(self, new: bool, back: int, days: int, override: bool) -> None:
        self.version += new
        version = max(1, self.version - (0 if new else back))
        wanted = candidate(version, night=candidate(version).night + timedelta(days=days))
        if machine.known_release(self.record, version):
            return
        with suppress(NightshiftError):
            change = machine.request(
                self.record, wanted, by="t", reason="r", override=override, timeout_seconds=60
            )
            self.write(change, self.record.number + 1)

    @rule(name=st.sampled_from(HOSTS), state=STATES, routed=st.booleans())
    def report(self, name: str, state: SlotState, routed: bool) -> None:
        def slot(colour: Colour) -> SlotStatus:
            held = self.record.slot(colour)
            return SlotStatus(version=held.version if held else None, state=state, message="m")

        live = self.record.champion
        done = RouteStatus(weights=self.record.weights, version=live.version if live else None)
        self.hosts[name] = PipelineStatus(
            number=self.record.number,
            blue=slot(Colour.BLUE),
            green=slot(Colour.GREEN),
            route=done if routed else self.hosts[name].route,
        )

    @rule()
    def all_obey(self) -> None:
        for name in HOSTS:
            self.report(name, SlotState.VERIFIED, routed=True)

    @rule(name=st.sampled_from(HOSTS))
    def falls_silent_or_returns(self, name: str) -> None:
        self.silent ^= {name}

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.seconds += seconds

    @rule()
    def leader_looks(self) -> None:
        self._look(self.record)

    @rule(ago=st.integers(1, 5))
    def a_leader_that_lost_its_lease_looks(self, ago: int) -> None:
        """It decides on an old record; its write must then find its number taken."""
        old = self.records[max(0, len(self.records) - 1 - ago)]
        if old.number < self.record.number:
            assert not self._look(old)

    def _look(self, record: ReleaseRecord) -> bool:
        views = [HostView(name, name in self.silent, self.hosts[name]) for name in HOSTS]
        change = progress.step(record, seen(*views), START + timedelta(seconds=self.seconds))
        return change is not None and self.write(change, record.number + 1)

    @precondition(lambda self: self.record.live is not None)
    @rule(to=st.none() | st.integers(1, 5))
    def roll_back(self, to: int | None) -> None:
        with suppress(NightshiftError):
            change = machine.roll_back(self.record, by="t", reason="bad", to_version=to)
            if change.reject is not None:
                self.left.add(change.reject)
            assert self.write(change, self.record.number + 1)

    @rule()
    def abort(self) -> None:
        with suppress(NightshiftError):
            self.write(machine.abort(self.record, reason="stop"), self.record.number + 1)

    @invariant()
    def one_colour_is_live_and_weights_sum_to_a_hundred(self) -> None:
        ever_live = any(r.live is not None for r in self.records)
        assert (self.record.live is not None) == ever_live
        if ever_live:
            assert self.record.weights.blue + self.record.weights.green == 100
            assert self.record.champion is not None

    @invariant()
    def what_was_rejected_is_never_live_and_never_forgotten(self) -> None:
        live = self.record.champion
        assert live is None or live.version not in self.left
        assert self.left <= set(self.record.rejected)

    @invariant()
    def the_log_folds_to_the_record(self) -> None:
        assert fold("flights", self.events) == self.record
        assert [event.number for event in self.events] == list(range(1, len(self.events) + 1))


Releases.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestReleases = Releases.TestCase
