"""Fairness: what a model does to a group, against what it does to all others.

Every function takes the sums over a group's rows and those over the rest (``everybody - group``)
and gives a value with a sign, so that one sees whom a gap favours; a limit is about its size. All
broadcast over replicates and groups, and are NaN where a side has no row that the rate is about.

A group is compared with the rest and not with the best group, as Fairlearn and the four-fifths rule
do: the best of many small groups is best by luck, and its rate has no plain interval.
"""

from __future__ import annotations

from nightshift.evaluation.calibration import Reliability
from nightshift.evaluation.outcomes import Counts, Outcomes, ratio


def selection_rate_ratio(group: Outcomes, rest: Outcomes) -> Counts:
    """Selection rate over the rest's. Below 0.8 is the usual sign of adverse impact (the
    four-fifths rule: Uniform Guidelines on Employee Selection Procedures 1978, 29 CFR 1607.4 D).
    """
    return ratio(group.selection_rate, rest.selection_rate)


def selection_rate_gap(group: Outcomes, rest: Outcomes) -> Counts:
    """Selection rate less the rest's: demographic parity (Dwork et al. 2012, "Fairness through
    awareness")."""
    return group.selection_rate - rest.selection_rate


def tpr_gap(group: Outcomes, rest: Outcomes) -> Counts:
    """True positive rate less the rest's: equal opportunity (Hardt, Price and Srebro 2016,
    "Equality of opportunity in supervised learning")."""
    return group.recall - rest.recall


def fpr_gap(group: Outcomes, rest: Outcomes) -> Counts:
    """False positive rate less the rest's; with :func:`tpr_gap`, equalized odds (the same)."""
    return group.fpr - rest.fpr


def calibration_gap(group: Reliability, rest: Reliability) -> Counts:
    """Mean score less share of ones, less the same of the rest: by how much more the model
    overrates the group (calibration within groups, in the large: Kleinberg, Mullainathan and
    Raghavan 2016, "Inherent trade-offs in the fair determination of risk scores").

    Not the difference of expected calibration errors: a small group's error is larger by chance
    alone (see :attr:`Reliability.error`), which would read as unfairness.
    """
    return group.bias - rest.bias
