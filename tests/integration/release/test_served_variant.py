"""A version whose hosts load a TFLite variant in the model's place."""

from __future__ import annotations

import json

import pytest

from tests.integration.release.conftest import VERSIONS
from tests.integration.release.rig import INPUTS, Rig

FACTOR = VERSIONS[-1] / 10
"""What the TFLite file of the tests answers: ``x * FACTOR``."""


def test_the_variant_is_what_answers_and_its_own_golden_requests_hold_it(rig: Rig) -> None:
    assert rig.release(1).succeeded
    candidate = rig.with_variant(rig.publish(2), FACTOR)
    state = rig.await_end(rig.ask(candidate))
    assert state.succeeded, state.message
    rig.await_version(2)
    values = json.loads(rig.predict().text)["outputs"]
    assert values == pytest.approx([x * FACTOR for x in INPUTS], abs=1e-5)


def test_a_variant_that_does_not_repeat_its_own_answers_is_refused(rig: Rig) -> None:
    assert rig.release(1).succeeded
    # Golden answers of the float model of version 2 are not those of the file beside them.
    candidate = rig.with_variant(rig.publish(2), 0.2)
    state = rig.await_end(rig.ask(candidate))
    assert not state.succeeded
    assert "golden row 0" in state.message
    assert rig.predict().version == 1
