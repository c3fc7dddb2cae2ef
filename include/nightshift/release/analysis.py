"""Judge the new version against the live one, from what requests showed of both.

Every rule compares the two over the same time, so what troubles both condemns neither; a live
version that is worse helps no rule to condemn the new one. The rules are tests that may be read
at any moment (:mod:`nightshift.release.evidence`), and share ``Analysis.error`` equally: a version
within all limits is stopped with at most that chance over the whole of its release.

Of clients' requests Envoy gives a known share to the new version, by chance. So of those that went
wrong at most that share should be the new version's, however often things go wrong: that is what
is tested, in each step by its own share, and the evidence of all steps adds up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nightshift.definition.rollout import Analysis, Rollout
from nightshift.release.evidence import band, log_above, log_mean
from nightshift.release.record import Colour, Phase
from nightshift.release.traffic import BOUNDS_MS, Counts, Stretch, total

RULES = 6
"""Rules that share the chance of error: all but those about memory and NaN, which know."""


@dataclass(frozen=True)
class Check:
    """How one rule stands.

    Attributes:
        rule: Its name.
        text: What was seen, with value and limit.
        evidence: How much speaks against the new version, as a share of what condemns it: 1 and
            more does, 0 and less is none at all.
    """

    rule: str
    text: str
    evidence: float

    @property
    def condemns(self) -> bool:
        """Whether the new version must go."""
        return self.evidence >= 1


def checks(counted: Mapping[str, Stretch], new: Colour, rollout: Rollout) -> list[Check]:
    """How every rule stands.

    Args:
        counted: The release's phases and steps so far, by name
            (:attr:`nightshift.release.record.ReleaseRecord.stretch`).
        new: The colour that holds the new version.
        rollout: The limits, and the steps' shares.
    """
    rules, stretches = rollout.analysis, list(counted.values())
    needed = math.log(RULES / rules.error)
    shared = [
        _Shared(share, stretch.traffic.of(new), stretch.traffic.of(new.other))
        for name, stretch in counted.items()
        if (share := _share_of(name, rollout)) < 1
    ]
    return [
        _failures(shared, needed),
        _errors(stretches, new, rules, needed),
        _latency(shared, rules, needed),
        _memory(stretches, new, rules),
        _compared_failures(stretches, new, needed),
        _non_finite(stretches, new),
        _disagreement(stretches, rules, needed),
        _shift(stretches, rules),
    ]


@dataclass(frozen=True)
class _Shared:
    """A step in which both versions had clients: the new one's share, and both counts."""

    share: float
    mine: Counts
    theirs: Counts


def _share_of(name: str, rollout: Rollout) -> float:
    """The new version's share of the traffic in a phase or step."""
    phase, _, number = name.partition("-")
    if phase == Phase.CANARY:
        return rollout.steps[int(number) - 1].weight / 100
    return 0.0 if phase == Phase.SHADOW else 1.0


def _failures(shared: Sequence[_Shared], needed: float) -> Check:
    logs = sum(
        log_above(part.mine.failures, part.mine.failures + part.theirs.failures, part.share)
        for part in shared
        if part.share
    )
    return Check("failure rate", _failed_where(shared), logs / needed)


def _failed_where(shared: Sequence[_Shared]) -> str:
    """Step by step, as it is judged: a sum over different shares would tell another tale."""
    steps = [part for part in shared if part.share]
    if len(steps) < 2:
        return _failed(*_sums(shared))
    return "; ".join(f"at {part.share:.0%} {_failed(part.mine, part.theirs)}" for part in steps)


def _failed(mine: Counts, theirs: Counts) -> str:
    return (
        f"{_share(mine.failures, mine.requests)} failed, of the live version's "
        f"{_share(theirs.failures, theirs.requests)} in the same time"
    )


def _errors(stretches: Sequence[Stretch], new: Colour, rules: Analysis, needed: float) -> Check:
    mine, theirs = _summed(stretches, new), _summed(stretches, new.other)
    logs = log_above(mine.errors, mine.requests, rules.max_error_rate)
    if log_above(theirs.errors, theirs.requests, rules.max_error_rate) > 0:
        # Whatever makes the live version's servers fail is no fault of the new one.
        logs = 0.0
    text = (
        f"its servers failed {_share(mine.errors, mine.requests)}; the limit is "
        f"{rules.max_error_rate:.2%}"
    )
    return Check("error rate", text, logs / needed)


def _latency(shared: Sequence[_Shared], rules: Analysis, needed: float) -> Check:
    logs = sum(_slower(part, rules.latency_ratio) for part in shared if part.share)
    mine, theirs = _sums(shared)
    shown = ", ".join(
        f"p{share * 100:g} {_milliseconds(mine.quantile(share))} against "
        f"{_milliseconds(theirs.quantile(share))}"
        for share in (0.5, 0.99)
    )
    text = f"{shown}; it may be {rules.latency_ratio:g} times as slow"
    return Check("latency", text, logs / needed)


def _slower(part: _Shared, ratio: float) -> float:
    """Evidence that the new version is more than ``ratio`` times as slow.

    For each bound: of the new answers that took ``ratio`` times the bound and the old ones that
    took the bound itself, is more than its share the new version's? The mean over all bounds sees
    a slow tail and a slow middle alike.
    """

    def evidence(bucket: int, later: int) -> float:
        mine, theirs = part.mine.slower_than(later), part.theirs.slower_than(bucket)
        return log_above(mine, mine + theirs, part.share)

    return log_mean(
        evidence(bucket, later)
        for bucket, bound in enumerate(BOUNDS_MS)
        for later in _first_at_least(ratio * bound)
    )


def _first_at_least(bound: float) -> list[int]:
    return [place for place, known in enumerate(BOUNDS_MS) if known >= bound][:1]


def _memory(stretches: Sequence[Stretch], new: Colour, rules: Analysis) -> Check:
    """No statistics: memory is known. Against a server that does not tell nothing is held.

    Growth, not size: a larger model may well need more, but must not need more and more.
    """
    mine = max((s.traffic.growth(new) for s in stretches), default=0.0)
    theirs = max((s.traffic.growth(new.other) for s in stretches), default=0.0)
    limit = rules.max_memory_growth * max(1.0, theirs)
    text = (
        f"its server takes {mine:.2f} times what it took at first, the live version's "
        f"{theirs:.2f}; the limit is {limit:.2f}"
    )
    return Check("memory", text, max(0.0, mine - 1) / (limit - 1) if limit > 1 else 0.0)


def _compared_failures(stretches: Sequence[Stretch], new: Colour, needed: float) -> Check:
    """Of requests that one version answered and the other failed, half may be the new one's."""
    mine = sum(s.compared.failed_alone.of(new) for s in stretches)
    theirs = sum(s.compared.failed_alone.of(new.other) for s in stretches)
    text = (
        f"it alone failed {_share(mine, _pairs(stretches))} of the compared requests; the live "
        f"version alone failed {theirs}"
    )
    return Check("failed answers", text, log_above(mine, mine + theirs, 0.5) / needed)


def _non_finite(stretches: Sequence[Stretch], new: Colour) -> Check:
    count = sum(s.compared.non_finite_alone.of(new) for s in stretches)
    text = (
        f"{_share(count, _pairs(stretches))} of the compared answers are NaN or infinite where "
        "the live version's are not; none may be"
    )
    return Check("non-finite answers", text, float(count > 0))


def _disagreement(stretches: Sequence[Stretch], rules: Analysis, needed: float) -> Check:
    answered = sum(s.compared.answered for s in stretches)
    apart = sum(s.compared.disagreements for s in stretches)
    text = (
        f"{_share(apart, answered)} answers differ from the live version's; the limit is "
        f"{rules.max_disagreement:.1%}"
    )
    logs = log_above(apart, answered, rules.max_disagreement)
    return Check("disagreement", text, logs / needed)


def _shift(stretches: Sequence[Stretch], rules: Analysis) -> Check:
    together = total(stretches).compared
    distance = together.distance
    margin = 2 * band(together.answered, rules.error / RULES / 2)
    text = (
        f"the distributions of {together.answered} answers are {distance:.2f} apart, give or take "
        f"{margin:.2f}; the limit is {rules.max_shift:.2f}"
    )
    return Check("shift of answers", text, (distance - margin) / rules.max_shift)


def _sums(shared: Sequence[_Shared]) -> tuple[Counts, Counts]:
    mine = sum((part.mine for part in shared), Counts())
    return mine, sum((part.theirs for part in shared), Counts())


def _summed(stretches: Sequence[Stretch], colour: Colour) -> Counts:
    return sum((s.traffic.of(colour) for s in stretches), Counts())


def _pairs(stretches: Sequence[Stretch]) -> int:
    return sum(s.compared.pairs for s in stretches)


def _share(hits: int, whole: int) -> str:
    return f"{hits} of {whole} ({hits / whole:.2%})" if whole else "0 of 0"


def _milliseconds(value: float | None) -> str:
    return f"{value:g} ms" if value is not None else "-"
