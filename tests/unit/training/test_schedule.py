"""The learning rate over a training."""

from __future__ import annotations

import pytest

from nightshift.definition.training import Training
from nightshift.training.schedule import rate_of


def test_it_stays_or_falls_to_nothing_at_the_last_step_of_the_last_epoch() -> None:
    assert rate_of(Training(learning_rate=0.5), steps=10) == 0.5
    falling = rate_of(Training(learning_rate=0.5, learning_rate_decay="cosine", epochs=2), steps=10)
    assert callable(falling)
    assert callable(falling)
    assert [float(falling(step)) for step in (0, 10, 20)] == pytest.approx([0.5, 0.25, 0.0])
