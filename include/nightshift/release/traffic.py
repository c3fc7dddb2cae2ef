"""What requests showed of the two colours over the same time, as numbers that add up.

Counts grow over one phase (or step) of one release. A host reports its own; the leader adds them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import zip_longest

from pydantic import BaseModel, ConfigDict

from nightshift.release.comparison import Compared
from nightshift.release.record import Colour

BOUNDS_MS = tuple(sorted({math.ceil(1.25**step) for step in range(45)}))
"""Upper bounds of the buckets of answer times in whole milliseconds, as Envoy measures them: each
about a quarter above the last, 1 ms to 18 s."""


class Counts(BaseModel):
    """Requests of clients that one colour answered."""

    model_config = ConfigDict(frozen=True)

    requests: int = 0
    failures: int = 0
    """Answered with anything but success (HTTP 4xx and 5xx, a gRPC status that is not OK), and
    attempts that were tried again."""
    errors: int = 0
    """The failures that are the server's own: HTTP 5xx, a gRPC status that says so, retries."""
    within: tuple[int, ...] = ()
    """Requests answered within each of :data:`BOUNDS_MS`."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            requests=self.requests + other.requests,
            failures=self.failures + other.failures,
            errors=self.errors + other.errors,
            within=_added(self.within, other.within),
        )

    def since(self, earlier: Counts) -> Counts:
        """What came after ``earlier``; counters that went back began anew with their server."""
        if earlier.requests > self.requests:
            return self
        requests = self.requests - earlier.requests
        # A failure may be counted a moment before its request, and a retry has none of its own.
        return Counts(
            requests=requests,
            failures=min(requests, max(0, self.failures - earlier.failures)),
            errors=min(requests, max(0, self.errors - earlier.errors)),
            within=tuple(
                max(0, now - before)
                for now, before in zip_longest(self.within, earlier.within, fillvalue=0)
            ),
        )

    @property
    def timed(self) -> int:
        """Requests whose time is known."""
        return self.within[-1] if self.within else 0

    def slower_than(self, bucket: int) -> int:
        """Requests that took longer than a bucket's bound."""
        if not self.within:
            return 0
        return self.timed - self.within[min(bucket, len(self.within) - 1)]

    def quantile(self, share: float) -> float | None:
        """The answer time (ms) that so many requests kept within; None without requests.

        A bucket's upper bound, so too large by up to a quarter.
        """
        if not self.timed:
            return None
        wanted = share * self.timed
        for bound, count in zip(BOUNDS_MS, self.within, strict=False):
            if count >= wanted:
                return bound
        return BOUNDS_MS[-1]


class Traffic(BaseModel):
    """Both colours over one phase or step."""

    model_config = ConfigDict(frozen=True)

    blue: Counts = Counts()
    green: Counts = Counts()
    blue_growth: float = 0.0
    green_growth: float = 0.0
    """A server's memory as a multiple of what it took when the release was first judged: the most
    that was seen on any host; 0 where it does not tell."""

    def of(self, colour: Colour) -> Counts:
        """One colour's."""
        return self.blue if colour is Colour.BLUE else self.green

    def growth(self, colour: Colour) -> float:
        """One colour's."""
        return self.blue_growth if colour is Colour.BLUE else self.green_growth

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            blue=self.blue + other.blue,
            green=self.green + other.green,
            blue_growth=max(self.blue_growth, other.blue_growth),
            green_growth=max(self.green_growth, other.green_growth),
        )


class Stretch(BaseModel):
    """All that one phase or step showed."""

    model_config = ConfigDict(frozen=True)

    traffic: Traffic = Traffic()
    compared: Compared = Compared()


def total(parts: Iterable[Stretch]) -> Stretch:
    """All hosts together."""
    found = Stretch()
    for part in parts:
        found = Stretch(
            traffic=found.traffic + part.traffic, compared=found.compared.merge(part.compared)
        )
    return found


def _added(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip_longest(one, other, fillvalue=0))
