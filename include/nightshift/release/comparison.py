"""Two versions' answers to the same requests, as numbers that add up."""

from __future__ import annotations

from itertools import accumulate

from pydantic import BaseModel, ConfigDict

from nightshift.release.record import Colour

BINS = 20
"""Bins of equal width over [0, 1] for the first output; two more take what is outside."""


class PerColour(BaseModel):
    """One number for each colour."""

    model_config = ConfigDict(frozen=True)

    blue: int = 0
    green: int = 0

    def of(self, colour: Colour) -> int:
        """One colour's."""
        return self.blue if colour is Colour.BLUE else self.green

    def __add__(self, other: PerColour) -> PerColour:
        return PerColour(blue=self.blue + other.blue, green=self.green + other.green)


class Compared(BaseModel):
    """What comparing showed so far."""

    model_config = ConfigDict(frozen=True)

    pairs: int = 0
    """Requests that both colours were asked, whatever they said."""
    answered: int = 0
    """Pairs of two finite answers; only these can disagree."""
    disagreements: int = 0
    """Answers further apart than the tolerance, or of another class."""
    failed_alone: PerColour = PerColour()
    """Requests that this colour failed and the other answered."""
    non_finite_alone: PerColour = PerColour()
    """Requests that this colour answered with NaN or infinity and the other did not."""
    unanswered: int = 0
    """Samples that the other colour's server could not be asked about; not among the pairs."""
    replayed: int = 0
    """Requests that were sent again and not asked by a client, among the pairs or unanswered."""
    dropped: int = 0
    """Samples that were not compared, because too many came at once."""
    blue: tuple[int, ...] = (0,) * (BINS + 2)
    green: tuple[int, ...] = (0,) * (BINS + 2)
    """Of the answered pairs: how often the first output fell below 0, in each bin, above 1."""

    def merge(self, other: Compared) -> Compared:
        """Both together."""
        return Compared(
            pairs=self.pairs + other.pairs,
            answered=self.answered + other.answered,
            disagreements=self.disagreements + other.disagreements,
            failed_alone=self.failed_alone + other.failed_alone,
            non_finite_alone=self.non_finite_alone + other.non_finite_alone,
            unanswered=self.unanswered + other.unanswered,
            replayed=self.replayed + other.replayed,
            dropped=self.dropped + other.dropped,
            blue=tuple(a + b for a, b in zip(self.blue, other.blue, strict=True)),
            green=tuple(a + b for a, b in zip(self.green, other.green, strict=True)),
        )

    @property
    def distance(self) -> float:
        """Kolmogorov-Smirnov distance of the two distributions at the bins' bounds, 0 to 1."""
        return max(abs(a - b) for a, b in zip(_shares(self.blue), _shares(self.green), strict=True))


def _shares(bins: tuple[int, ...]) -> list[float]:
    whole = sum(bins)
    return [count / whole if whole else 0.0 for count in accumulate(bins)]
