"""Judge the new version against the live one, from what requests showed of both.

Every rule compares the two over the same time, so what troubles both condemns neither; a live
version that is worse helps no rule to condemn the new one. The rules are tests that may be read
at any moment (:mod:`nightshift.release.evidence`), and share ``Analysis.error`` equally: a version
within all limits is stopped with at most that chance over the whole of its release.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nightshift.definition.rollout import Analysis
from nightshift.release.evidence import band, log_above, log_mean, log_more_often
from nightshift.release.record import Colour
from nightshift.release.traffic import BOUNDS_MS, Counts, Stretch, total

RULES = 6
"""Rules that share the chance of error: failures, errors, latency, disagreement, shift, answers
that failed in comparison."""


@dataclass(frozen=True)
class Finding:
    """A rule that condemns the new version, in words with value and limit."""

    rule: str
    text: str


def findings(stretches: Sequence[Stretch], new: Colour, rules: Analysis) -> list[Finding]:
    """Every rule that condemns the version on colour ``new``; empty while none does.

    Args:
        stretches: The release's phases and steps so far, each compared within itself.
        new: The colour that holds the new version.
        rules: The limits.
    """
    needed = math.log(RULES / rules.error)
    found = (
        _non_finite(stretches, new),
        _failures(stretches, new, needed),
        _errors(stretches, new, rules, needed),
        _latency(stretches, new, rules, needed),
        _compared_failures(stretches, new, needed),
        _disagreement(stretches, rules, needed),
        _shift(stretches, rules),
    )
    return [finding for finding in found if finding is not None]


def _non_finite(stretches: Sequence[Stretch], new: Colour) -> Finding | None:
    count = sum(s.compared.non_finite_alone.of(new) for s in stretches)
    if not count:
        return None
    pairs = sum(s.compared.pairs for s in stretches)
    return Finding(
        "non-finite answers",
        f"{count} of {pairs} compared answers were NaN or infinite where the live version's were "
        "finite; none may be",
    )


def _failures(stretches: Sequence[Stretch], new: Colour, needed: float) -> Finding | None:
    logs = sum(
        log_more_often(a.failures, a.requests, b.failures, b.requests)
        for a, b in _both(stretches, new)
    )
    if logs < needed:
        return None
    return Finding("failure rate", _rates(stretches, new, "failed"))


def _errors(
    stretches: Sequence[Stretch], new: Colour, rules: Analysis, needed: float
) -> Finding | None:
    mine = [a for a, _ in _both(stretches, new)]
    logs = sum(log_above(c.errors, c.requests, rules.max_error_rate) for c in mine)
    theirs = [b for _, b in _both(stretches, new) if b.requests]
    excused = any(b.errors / b.requests > rules.max_error_rate for b in theirs)
    if logs < needed or excused:
        return None
    hits, total = sum(c.errors for c in mine), sum(c.requests for c in mine)
    return Finding(
        "error rate",
        f"its servers failed {hits} of {total} requests ({hits / total:.2%}); the limit is "
        f"{rules.max_error_rate:.2%}",
    )


def _latency(
    stretches: Sequence[Stretch], new: Colour, rules: Analysis, needed: float
) -> Finding | None:
    logs = sum(_slower(a, b, rules.latency_ratio) for a, b in _both(stretches, new))
    if logs < needed:
        return None
    mine, theirs = _summed(stretches, new), _summed(stretches, new.other)
    shown = ", ".join(
        f"p{share * 100:g} {mine.quantile(share)} ms against {theirs.quantile(share)} ms"
        for share in (0.5, 0.99)
    )
    return Finding("latency", f"{shown}; it may be {rules.latency_ratio:g} times as slow")


def _slower(new: Counts, old: Counts, ratio: float) -> float:
    """Mean over all bounds of the evidence that more of the new answers take ``ratio`` times
    that bound than of the old ones take the bound itself."""
    if not new.timed or not old.timed:
        return 0.0
    logs = []
    for bucket, bound in enumerate(BOUNDS_MS[:-1]):
        later = next((i for i, b in enumerate(BOUNDS_MS) if b >= ratio * bound), None)
        if later is not None:
            logs.append(
                log_more_often(
                    new.slower_than(later), new.timed, old.slower_than(bucket), old.timed
                )
            )
    return log_mean(logs)


def _compared_failures(stretches: Sequence[Stretch], new: Colour, needed: float) -> Finding | None:
    """Of requests that one version answered and the other failed, half may be the new one's."""
    mine = sum(s.compared.failed_alone.of(new) for s in stretches)
    theirs = sum(s.compared.failed_alone.of(new.other) for s in stretches)
    if log_above(mine, mine + theirs, 0.5) < needed:
        return None
    pairs = sum(s.compared.pairs for s in stretches)
    return Finding(
        "failed answers",
        f"it failed {mine} of {pairs} compared requests that the live version answered; the live "
        f"version failed {theirs} that it answered",
    )


def _disagreement(stretches: Sequence[Stretch], rules: Analysis, needed: float) -> Finding | None:
    answered = sum(s.compared.answered for s in stretches)
    apart = sum(s.compared.disagreements for s in stretches)
    if log_above(apart, answered, rules.max_disagreement) < needed:
        return None
    return Finding(
        "disagreement",
        f"{apart} of {answered} answers ({apart / answered:.1%}) differ from the live version's; "
        f"the limit is {rules.max_disagreement:.1%}",
    )


def _shift(stretches: Sequence[Stretch], rules: Analysis) -> Finding | None:
    together = total(stretches).compared
    distance = together.distance
    margin = 2 * band(together.answered, rules.error / RULES / 2)
    if distance - margin <= rules.max_shift:
        return None
    return Finding(
        "shift of answers",
        f"the distributions of {together.answered} answers are {distance:.2f} apart, at least "
        f"{distance - margin:.2f} allowing for chance; the limit is {rules.max_shift:.2f}",
    )


def _both(stretches: Sequence[Stretch], new: Colour) -> list[tuple[Counts, Counts]]:
    return [(s.traffic.of(new), s.traffic.of(new.other)) for s in stretches]


def _summed(stretches: Sequence[Stretch], colour: Colour) -> Counts:
    return sum((s.traffic.of(colour) for s in stretches), Counts())


def _rates(stretches: Sequence[Stretch], new: Colour, what: str) -> str:
    mine, theirs = _summed(stretches, new), _summed(stretches, new.other)
    return (
        f"{mine.failures} of {mine.requests} requests {what} ({_share(mine)}), of the live "
        f"version's {theirs.failures} of {theirs.requests} ({_share(theirs)}) in the same time"
    )


def _share(counts: Counts) -> str:
    return f"{counts.failures / counts.requests:.2%}" if counts.requests else "none seen"
