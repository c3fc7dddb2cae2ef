"""What a measurement leaves open: a value and the interval that its rows allow.

Every confidence here is of one side: at 0.95 the true value is below ``low`` with a chance of 5 per
cent, and above ``high`` with the same, so the two bounds together are the usual 90 per cent
interval, as in a non-inferiority test (CONSORT extension: Piaggio et al. 2012).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from statistics import NormalDist


class Estimate(ABC):
    """A value with bounds for any confidence."""

    value: float
    method: str

    @abstractmethod
    def interval(self, confidence: float) -> tuple[float, float]:
        """Lower and upper bound; NaN where the rows give none."""


@dataclass(frozen=True)
class Bootstrapped(Estimate):
    """Bounds at ``value ± z · se``, the bootstrap's standard interval (Efron and Tibshirani 1993,
    "An introduction to the bootstrap", chapter 13; TFMA's too).

    It needs the replicates' spread alone, which a thousand give to about 2 per cent; a percentile
    in the tail that many groups require would rest on two or three of them.

    Attributes:
        value: Measured on the rows themselves.
        se: Standard deviation of the replicates; NaN where they are not defined.
    """

    value: float
    se: float
    method: str = "paired Poisson bootstrap"

    def interval(self, confidence: float) -> tuple[float, float]:
        """See the class."""
        reach = NormalDist().inv_cdf(confidence) * self.se
        return self.value - reach, self.value + reach


@dataclass(frozen=True)
class Proportion(Estimate):
    """A share of rows with its exact bounds (Clopper and Pearson 1934).

    Attributes:
        hits: Rows that count.
        rows: All rows, at least 1.
    """

    hits: int
    rows: int
    method: str = "exact binomial (Clopper-Pearson)"

    @property
    def value(self) -> float:  # type: ignore[override]
        """The share."""
        return self.hits / self.rows

    def interval(self, confidence: float) -> tuple[float, float]:
        """See the class."""
        return binomial_bounds(self.hits, self.rows, confidence)


@dataclass(frozen=True)
class PairedProportion(Estimate):
    """The difference of two models' accuracies on the same rows: the exact McNemar test's interval.

    Rows on which both are right or both wrong say nothing about the difference. Of the ``n`` others
    the candidate has ``better``; given ``n``, that is binomial, and the bounds of its share ``p``
    become ``n / rows · (2 p - 1)`` (McNemar 1947; Fagerland, Lydersen and Laake 2013, "The McNemar
    test for binary matched-pairs data").

    Attributes:
        better: Rows that the candidate alone has right.
        worse: Rows that the champion alone has right.
        rows: All rows, at least 1.
    """

    better: int
    worse: int
    rows: int
    method: str = "exact McNemar"

    @property
    def value(self) -> float:  # type: ignore[override]
        """Candidate's accuracy less the champion's."""
        return (self.better - self.worse) / self.rows

    def interval(self, confidence: float) -> tuple[float, float]:
        """See the class."""
        differing = self.better + self.worse
        if not differing:
            return 0.0, 0.0
        low, high = binomial_bounds(self.better, differing, confidence)
        scale = differing / self.rows
        return scale * (2 * low - 1), scale * (2 * high - 1)


@dataclass(frozen=True)
class Known(Estimate):
    """A number that is not an estimate: a count, an age, a size."""

    value: float
    method: str = "counted"

    def interval(self, confidence: float) -> tuple[float, float]:
        """The value itself, twice."""
        return self.value, self.value


def binomial_bounds(hits: int, rows: int, confidence: float) -> tuple[float, float]:
    """Clopper and Pearson's bounds of a share, each by itself at this confidence."""
    from scipy.stats import beta

    error = 1 - confidence
    low = beta.ppf(error, hits, rows - hits + 1) if hits else 0.0
    high = beta.ppf(confidence, hits + 1, rows - hits) if hits < rows else 1.0
    return float(low), float(high)


def is_number(value: float | None) -> bool:
    """Whether there is a finite value."""
    return value is not None and math.isfinite(value)
