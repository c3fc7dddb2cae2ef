"""Whether the champion can be asked about today's rows."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.definition.model import Feature, FeatureType
from nightshift.evaluation.champion import FIRST_RELEASE, load_champion, unusable, why_unfit
from nightshift.release.candidate import Candidate
from nightshift.training.saved_model import Input

FEATURES = {
    "carrier": Feature(type=FeatureType.STRING),
    "month": Feature(type=FeatureType.INT),
    "photo": Feature(type=FeatureType.IMAGE, shape=(8, 8, 3)),
}
CHAMPION = Candidate(
    version=12,
    night=date(2013, 8, 30),
    model=ArtifactRef(kind="model", key="k", uri="s3://b/k", digest="d"),
)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"carrier": Input("string"), "month": Input("int64")}, ""),
        ({"carrier": Input("string")}, ""),
        ({"photo": Input("float32", (8, 8, 3))}, ""),
        ({"gate": Input("string")}, "version 12 asks for 'gate', which the pipeline"),
        ({"month": Input("float32")}, "takes 'month' as float32, the pipeline now declares int64"),
        (
            {"photo": Input("float32", (8, 8, 1))},
            "takes 'photo' as float32 [8, 8, 1], the pipeline now declares float32 [8, 8, 3]",
        ),
    ],
)
def test_a_champion_is_asked_only_what_it_understands(
    inputs: dict[str, Input], reason: str
) -> None:
    found = why_unfit(CHAMPION, inputs, FEATURES)
    assert reason in found
    assert bool(reason) == bool(found)


def test_before_the_first_release_there_is_none() -> None:
    assert load_champion(None, None, FEATURES) == (None, FIRST_RELEASE)


def test_only_probabilities_are_usable() -> None:
    assert unusable(np.array([0.0, 1.0, 0.5])) == 0
    assert unusable(np.array([float("nan"), 1.0001, -0.1, 0.5, float("inf")])) == 4
