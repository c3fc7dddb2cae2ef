"""What holds in every order of requests, reports, silences, drains, roll-backs, racing writers."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nightshift.definition.rollout import CanaryStep, Rollout, Shadowing
from nightshift.errors import NightshiftError
from nightshift.release import machine, progress
from nightshift.release.candidate import Candidate
from nightshift.release.comparison import Compared
from nightshift.release.event import Change, Event
from nightshift.release.log import fold
from nightshift.release.observation import HostView
from nightshift.release.record import About, Colour, Freeze, Phase, ReleaseRecord
from nightshift.release.status import PipelineStatus, RouteStatus, SlotState, SlotStatus
from nightshift.release.traffic import Counts, Stretch, Traffic
from tests.unit.release.builders import START, candidate, follow, seen

HOSTS = ("a", "b", "c")
STATES = st.sampled_from([*SlotState, *[SlotState.VERIFIED] * 6])
ROLLOUTS = st.sampled_from(
    [
        Rollout(),
        Rollout(steps=(CanaryStep(weight=5, seconds=20, min_requests=10),), bake_seconds=30),
        Rollout(
            shadow=Shadowing(seconds=10, min_pairs=5),
            steps=(CanaryStep(weight=1, seconds=0), CanaryStep(weight=99, seconds=60)),
            approve="before_promotion",
            keep_warm_seconds=30,
            patience_seconds=30,
            answer_seconds=60,
        ),
        Rollout(
            steps=(CanaryStep(weight=50, seconds=0),),
            when_quiet="proceed",
            patience_seconds=0,
            bake_seconds=1,
        ),
    ]
)
COUNTS = st.sampled_from(
    [
        Counts(),
        Counts(requests=500),
        Counts(requests=500, failures=2, errors=1),
        Counts(requests=500, failures=400, errors=400),
    ]
)


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
        self.drained: set[str] = set()
        self.version = 0
        self.left: set[int] = set()
        self.way_back: Candidate | None = None

    def write(self, change: Change, number: int) -> bool:
        """The log's compare-and-swap: only the next number is written."""
        if number != len(self.events) + 1:
            return False
        after = follow(self.record, change, seconds=self.seconds)
        at = self.now
        self.events.append(
            Event(id=str(number), number=number, at=at, by="t", change=change, record=after)
        )
        self.check_transition(self.record, after)
        self.record = after
        event(f"reached {after.phase}")
        self.records.append(after)
        return True

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def check_transition(self, before: ReleaseRecord, after: ReleaseRecord) -> None:
        if before.live is not None:
            assert after.slot(before.live) == before.champion, "the live colour was touched"
            held = after.phase is Phase.PROMOTED and before.slot(before.live)
            assert not held or after.slot(before.live) == held, "the way back was unloaded"
        if after.phase is Phase.PROMOTED and before.phase is not Phase.PROMOTED:
            self.way_back = before.champion
            assert before.phase in {Phase.VERIFIED, Phase.SHADOW, Phase.CANARY}
            assert after.request is not None
            steps = after.request.rollout.steps
            progressive = before.live is not None and after.request.rolls_back is None
            if steps and progressive:
                assert before.phase is Phase.CANARY and before.step == len(steps) - 1
            if after.request.rollout.approve == "before_promotion":
                assert About.PROMOTION in after.approved
        asked = after.request
        if asked and asked.rolls_back is None and before.phase.under_way:
            moves = after.weights.of(asked.colour) > 0 == before.weights.of(asked.colour)
            frozen = before.freeze is not None and before.freeze.until > self.now
            assert not (moves and frozen), "traffic moved in a freeze"

    @initialize(live=st.integers(0, 2))
    def some_versions_went_live(self, live: int) -> None:
        for _ in range(live):
            self.ask(new=True, back=0, days=0, override=False, rollout=Rollout())
            self.a_good_while(4)

    @rule(
        new=st.booleans(),
        back=st.integers(0, 4),
        days=st.integers(-3, 3),
        override=st.booleans(),
        rollout=ROLLOUTS,
    )
    def ask(self, new: bool, back: int, days: int, override: bool, rollout: Rollout) -> None:
        self.version += new
        version = max(1, self.version - (0 if new else back))
        wanted = candidate(version, night=candidate(version).night + timedelta(days=days))
        if machine.known_release(self.record, version):
            return
        with suppress(NightshiftError):
            change = machine.request(
                self.record,
                wanted,
                by="t",
                reason="r",
                override=override,
                timeout_seconds=60,
                rollout=rollout,
            )
            self.write(change, self.record.number + 1)

    @rule(name=st.sampled_from(HOSTS), blue=COUNTS, green=COUNTS, pairs=st.sampled_from([0, 50]))
    def count(self, name: str, blue: Counts, green: Counts, pairs: int) -> None:
        if self.record.stretch and self.record.request:
            seen_here = Stretch(
                traffic=Traffic(blue=blue, green=green), compared=Compared(pairs=pairs)
            )
            self.hosts[name] = self.hosts[name].model_copy(
                update={
                    "release": self.record.request.id,
                    "stretches": {self.record.stretch: seen_here},
                }
            )

    @rule(go_on=st.booleans())
    def answer(self, go_on: bool) -> None:
        with suppress(NightshiftError):
            change = machine.answer(self.record, go_on=go_on, reason="r")
            if change.reject is not None:
                self.left.add(change.reject)
            self.write(change, self.record.number + 1)

    @rule(seconds=st.sampled_from([-1, 40]))
    def freeze_or_thaw(self, seconds: int) -> None:
        if self.record.freeze is not None:
            self.write(machine.thaw(self.record, reason="r"), self.record.number + 1)
            return
        freeze = Freeze(until=self.now + timedelta(seconds=seconds), by="t", reason="holidays")
        self.write(machine.freeze(self.record, freeze), self.record.number + 1)

    @rule(name=st.sampled_from(HOSTS), state=STATES, routed=st.booleans())
    def report(self, name: str, state: SlotState, routed: bool) -> None:
        def slot(colour: Colour) -> SlotStatus:
            held = self.record.slot(colour)
            return SlotStatus(version=held.version if held else None, state=state, message="m")

        taking = {c.value: slot(c).version for c in self.record.colours}
        done = RouteStatus(weights=self.record.weights).model_copy(update=taking)
        before = self.hosts[name]
        # A host on which the candidate failed before it had traffic never routes to it.
        late = before.route.model_copy(update={"lacking_seconds": 61.0})
        self.hosts[name] = before.model_copy(
            update={
                "number": self.record.number,
                "blue": slot(Colour.BLUE),
                "green": slot(Colour.GREEN),
                "route": done if routed else late,
            }
        )

    @rule()
    def all_obey(self) -> None:
        for name in HOSTS:
            self.report(name, SlotState.VERIFIED, routed=True)

    @rule(rollout=ROLLOUTS, looks=st.integers(3, 8))
    def a_release_under_way(self, rollout: Rollout, looks: int) -> None:
        self.ask(new=True, back=0, days=3, override=False, rollout=rollout)
        self.a_good_while(looks)

    @rule(looks=st.integers(1, 6))
    def a_good_while(self, looks: int) -> None:
        """Without it hardly any random walk comes as far as a canary."""
        for _ in range(looks):
            self.all_obey()
            for name in HOSTS:
                self.count(name, Counts(requests=500), Counts(requests=500), 50)
            self.seconds += 61
            self.leader_looks()

    @rule(name=st.sampled_from(HOSTS))
    def falls_silent_or_returns(self, name: str) -> None:
        self.silent ^= {name}

    @rule(name=st.sampled_from(HOSTS))
    def is_drained_or_undrained(self, name: str) -> None:
        self.drained ^= {name}

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
        views = [
            HostView(name, name in self.silent, self.hosts[name], name in self.drained)
            for name in HOSTS
        ]
        change = progress.step(record, seen(*views), self.now)
        if change is not None and change.reject is not None and record is self.record:
            self.left.add(change.reject)
        return change is not None and self.write(change, record.number + 1)

    @precondition(lambda self: self.record.live is not None)
    @rule(to=st.none() | st.integers(1, 5))
    def roll_back(self, to: int | None) -> None:
        newest, passed_over, left = self.record.newest, self.record.champion, None
        with suppress(NightshiftError):
            try:
                change = machine.roll_back(self.record, by="t", reason="bad", to_version=to)
            except machine.ReleaseUnderWayError:
                cleared = machine.clear_the_way(self.record, reason="bad")
                assert cleared is not None
                self.leave(cleared)
                left = cleared.reject
                change = machine.roll_back(
                    self.record, by="t", reason="bad", to_version=to, left=left
                )
            self.leave(change)
            assert newest is not None
            asked = change.request
            if left is not None and asked is not None:
                assert asked.rolls_back == left == newest.version
            elif asked is not None:
                assert passed_over is not None and asked.rolls_back == passed_over.version

    def leave(self, change: Change) -> None:
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
    def only_a_canary_takes_traffic_beside_the_live_colour(self) -> None:
        if len(self.record.colours) > 1:
            assert self.record.phase is Phase.CANARY and self.record.request is not None
            assert self.record.weights.of(self.record.request.colour) < 100

    @invariant()
    def the_way_back_of_a_release_under_way_is_held(self) -> None:
        if self.record.phase.is_live and self.way_back is not None:
            assert self.record.slot(self.record.idle) == self.way_back

    @invariant()
    def a_roll_back_goes_to_the_way_back(self) -> None:
        back = self.way_back
        if self.record.phase.is_live and back and back.version not in self.record.rejected:
            assert self.record.previous == back

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
