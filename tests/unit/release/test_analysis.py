"""What condemns a new version, and what does not."""

from __future__ import annotations

import math

from nightshift.definition.rollout import Analysis, CanaryStep, Rollout
from nightshift.release.analysis import Check, checks
from nightshift.release.comparison import BINS, Compared, PerColour
from nightshift.release.record import Colour
from nightshift.release.traffic import BOUNDS_MS, Counts, Stretch, Traffic

NEW = Colour.GREEN


def counts(requests: int, *, failures: int = 0, errors: int = 0, ms: float = 3.0) -> Counts:
    """Requests that all took the same time."""
    within = tuple(requests if bound >= ms else 0 for bound in BOUNDS_MS)
    return Counts(requests=requests, failures=failures, errors=errors, within=within)


def stretch(blue: Counts, green: Counts, compared: Compared | None = None) -> Stretch:
    return Stretch(traffic=Traffic(blue=blue, green=green), compared=compared or Compared())


def checked(*stretches: Stretch, rules: Analysis | None = None) -> list[Check]:
    """Of a release with a step of 10% and one of 95%, and a time of baking."""
    names = ("canary-1", "canary-2", "baking")
    steps = (CanaryStep(weight=10), CanaryStep(weight=95))
    rollout = Rollout(steps=steps, analysis=rules or Analysis())
    return checks(dict(zip(names, stretches, strict=False)), NEW, rollout)


def condemned(*stretches: Stretch, rules: Analysis | None = None) -> set[str]:
    return {check.rule for check in checked(*stretches, rules=rules) if check.condemns}


def binned(place: int, count: int) -> tuple[int, ...]:
    return tuple(count if bin_ == place else 0 for bin_ in range(BINS + 2))


def test_equal_versions_are_left_alone() -> None:
    same = stretch(counts(9000, failures=90, errors=9), counts(1000, failures=10, errors=1))
    assert condemned(same) == set()


def test_nothing_seen_condemns_nothing() -> None:
    assert condemned(Stretch()) == condemned() == set()


def test_more_failures_than_the_live_version_condemn() -> None:
    assert "failure rate" in condemned(stretch(counts(9000), counts(1000, failures=20)))


def test_trouble_of_both_condemns_neither() -> None:
    both = stretch(counts(9000, failures=4500, errors=4500), counts(1000, failures=500, errors=500))
    assert condemned(both) == set()


def test_a_sick_live_version_does_not_condemn_a_good_new_one() -> None:
    sick = counts(9000, failures=9000, errors=9000, ms=2000)
    assert condemned(stretch(sick, counts(1000))) == set()


def test_when_all_traffic_is_its_own_the_limit_on_errors_is_left() -> None:
    baking = stretch(Counts(), counts(1000, failures=200, errors=200))
    assert condemned(Stretch(), Stretch(), baking) == {"error rate"}


def test_evidence_of_two_steps_adds_up_though_weights_changed() -> None:
    first, second = (
        stretch(counts(900), counts(100, failures=4)),
        stretch(counts(50), counts(950, failures=100)),
    )
    assert condemned(first) == condemned(Stretch(), second) == set()
    assert condemned(first, second) == {"failure rate"}


def test_failures_are_told_step_by_step_as_they_are_judged() -> None:
    """In the sum 15 of 1,050 would look no worse than the live version's 9 of 950."""
    crashed = stretch(counts(900), counts(100, failures=15))
    sick = stretch(counts(50, failures=9), counts(950))
    found = {check.rule: check for check in checked(crashed, sick)}["failure rate"]
    assert found.condemns
    assert found.text == (
        "at 10% 15 of 100 (15.00%) failed, of the live version's 0 of 900 (0.00%) in the same time"
        "; at 95% 0 of 950 (0.00%) failed, of the live version's 9 of 50 (18.00%) in the same time"
    )


def test_a_step_in_which_all_failed_more_often_does_not_condemn_the_one_with_more_of_it() -> None:
    """Weights rise while the clients' own failures rise: in the sum the new one looks worse."""
    calm = stretch(counts(9500), counts(500))
    stormy = stretch(counts(500, failures=250), counts(9500, failures=4750))
    assert condemned(calm, stormy) == set()


def test_half_as_slow_again_condemns_and_a_little_slower_does_not() -> None:
    assert condemned(stretch(counts(9000, ms=10), counts(1000, ms=60))) == {"latency"}
    assert condemned(stretch(counts(9000, ms=10), counts(1000, ms=12))) == set()


def test_a_slow_tail_condemns() -> None:
    def with_tail(requests: int, slow: int) -> Counts:
        within = tuple(
            requests if bound >= 400 else (requests - slow if bound >= 3 else 0)
            for bound in BOUNDS_MS
        )
        return Counts(requests=requests, within=within)

    assert condemned(stretch(with_tail(9000, 9), with_tail(1000, 40))) == {"latency"}
    assert condemned(stretch(with_tail(9000, 360), with_tail(1000, 40))) == set()


def test_a_single_nan_condemns_only_where_the_live_version_has_none() -> None:
    mine = Compared(pairs=50, non_finite_alone=PerColour(green=1))
    theirs = Compared(pairs=50, non_finite_alone=PerColour(blue=50))
    assert condemned(Stretch(compared=mine)) == {"non-finite answers"}
    assert condemned(Stretch(compared=theirs)) == set()


def test_a_server_that_grows_condemns_and_one_that_does_not_tell_does_not() -> None:
    grown = Traffic(blue_growth=1.1, green_growth=1.8)
    assert condemned(Stretch(traffic=grown)) == {"memory"}
    both = Traffic(blue_growth=1.7, green_growth=1.8)
    assert condemned(Stretch(traffic=both)) == condemned(Stretch()) == set()


def test_requests_that_only_the_new_version_fails_condemn() -> None:
    mine = Compared(pairs=5000, failed_alone=PerColour(green=20))
    assert condemned(Stretch(compared=mine)) == {"failed answers"}
    even = Compared(pairs=5000, failed_alone=PerColour(green=20, blue=20))
    assert condemned(Stretch(compared=even)) == set()


def test_answers_that_differ_condemn_above_the_limit_alone() -> None:
    rules = Analysis(max_disagreement=0.2)
    assert condemned(Stretch(compared=Compared(answered=200, disagreements=90)), rules=rules)
    assert not condemned(Stretch(compared=Compared(answered=200, disagreements=40)), rules=rules)


def test_shifted_answers_condemn() -> None:
    apart = Compared(answered=500, blue=binned(3, 500), green=binned(18, 500))
    assert condemned(Stretch(compared=apart)) == {"shift of answers"}
    near = Compared(answered=500, blue=binned(3, 500), green=binned(3, 500))
    assert condemned(Stretch(compared=near)) == set()


def test_every_check_says_value_and_limit_and_is_finite() -> None:
    step = {"baking": stretch(counts(10), counts(10, failures=10))}
    for check in checks(step, NEW, Rollout()):
        assert check.text and math.isfinite(check.evidence)
