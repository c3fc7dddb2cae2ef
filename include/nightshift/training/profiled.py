"""Which steps of training are profiled: the same for every process of a job, without TensorFlow."""

from __future__ import annotations

from nightshift.training.order import Position

STEPS = 5
_WARM = 20
"""Steps before them: the first ones fill caches and are like no other."""


def profiled_steps(steps: int) -> range:
    """The steps of the first epoch that a profile is taken of; few where the epoch is short."""
    first = min(_WARM, steps // 2)
    return range(first, min(first + STEPS, steps))


def steps_at_once(position: Position, steps: int, *, profile: bool) -> int:
    """How many steps may be computed together: all up to the profile, then one by one, then all.

    Args:
        position: Where training is.
        steps: In an epoch.
        profile: Whether there is one.
    """
    profiled = profiled_steps(steps)
    if not profile or position.epoch or position.step >= profiled.stop:
        return steps - position.step
    return max(1, profiled.start - position.step)
