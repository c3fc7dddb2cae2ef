"""Tests that may be looked at after every request and stopped at any moment.

Each function gives the natural logarithm of an *e-value*: a number whose expectation is at most 1
while the hypothesis holds, whatever moment it is read at. So the chance that it ever reaches
``1 / error`` is at most ``error`` (Ville's inequality), however often one looks. A product of
e-values of successive stretches of time is one, and so is a mean of any (Vovk and Wang 2021,
"E-values: calibration, combination and applications", Annals of Statistics 49).

They depend on the counts alone, not on the order in which they came: whoever leads after a
failure computes the same number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

_PRIOR = 0.5
"""Jeffreys' prior, Beta(1/2, 1/2): little is lost wherever the true rate is."""


def log_above(hits: int, total: int, limit: float) -> float:
    """Evidence that a rate is above a limit. Hypothesis: it is at most ``limit``.

    The numerator is the likelihood of the count under Jeffreys' prior, the denominator the largest
    likelihood that the hypothesis allows; that ratio is an e-process ("universal inference":
    Wasserman, Ramdas and Balakrishnan 2020, PNAS 117, with a mixture in place of the estimate, as
    in Robbins 1970, Annals of Mathematical Statistics 41).

    Args:
        hits: How often it happened.
        total: Out of how many.
        limit: Between 0 and 1; at 1 nothing can be above.
    """
    if not total or limit >= 1:
        return 0.0
    rate = hits / total
    allowed = _log_likelihood(hits, total, min(rate, limit))
    return _log_mixture(hits, total) - allowed


def log_mean(logs: Iterable[float]) -> float:
    """Mean of e-values given by their logarithms; 0 for none."""
    values = list(logs)
    if not values:
        return 0.0
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values) / len(values))


def band(total: int, error: float) -> float:
    """How far an observed distribution function can be from the true one, at every moment.

    Holds for all quantiles and all sample sizes at once, but with chance ``error`` (Howard and
    Ramdas 2022, "Sequential estimation of quantiles", Bernoulli 28, corollary 2 with the
    constants that they give: A = 0.85, C = 0.8 ln(1612 / error)).
    """
    if not total:
        return 1.0
    loglog = math.log(math.log(math.e * total))
    return min(1.0, 0.85 * math.sqrt((loglog + 0.8 * math.log(1612 / error)) / total))


def _log_mixture(hits: int, total: int) -> float:
    return _log_beta(_PRIOR + hits, _PRIOR + total - hits) - _log_beta(_PRIOR, _PRIOR)


def _log_best(hits: int, total: int) -> float:
    return _log_likelihood(hits, total, hits / total)


def _log_likelihood(hits: int, total: int, rate: float) -> float:
    return _times_log(hits, rate) + _times_log(total - hits, 1 - rate)


def _times_log(count: int, probability: float) -> float:
    if not count:
        return 0.0
    return count * math.log(probability) if probability > 0 else -math.inf


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
