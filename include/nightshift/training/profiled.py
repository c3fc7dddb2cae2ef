"""Which steps of training are profiled: the same for every process of a job, without TensorFlow."""

from __future__ import annotations

STEPS = 5
_WARM = 20
"""Steps before them: the first ones fill caches and are like no other."""


def profiled_steps(steps: int) -> range:
    """The steps of the first epoch that a profile is taken of; few where the epoch is short."""
    first = min(_WARM, steps // 2)
    return range(first, min(first + STEPS, steps))
