"""Whether the champion can be asked about today's rows."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.definition.model import Feature, FeatureType
from nightshift.evaluation.champion import FIRST_RELEASE, load_champion, unusable, why_unfit
from nightshift.release.candidate import Candidate

FEATURES = {"carrier": Feature(type=FeatureType.STRING), "month": Feature(type=FeatureType.INT)}
CHAMPION = Candidate(
    version=12,
    night=date(2013, 8, 30),
    model=ArtifactRef(kind="model", key="k", uri="s3://b/k", digest="d"),
)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"carrier": "string", "month": "int64"}, ""),
        ({"carrier": "string"}, ""),
        ({"carrier": "string", "gate": "string"}, "version 12 asks for 'gate', which the pipeline"),
        ({"carrier": "string", "month": "float32"}, "takes 'month' as float32, the pipeline now"),
    ],
)
def test_a_champion_is_asked_only_what_it_understands(inputs: dict[str, str], reason: str) -> None:
    found = why_unfit(CHAMPION, inputs, FEATURES)
    assert reason in found
    assert bool(reason) == bool(found)


def test_before_the_first_release_there_is_none() -> None:
    assert load_champion(None, None, FEATURES) == (None, FIRST_RELEASE)


def test_only_probabilities_are_usable() -> None:
    assert unusable(np.array([0.0, 1.0, 0.5])) == 0
    assert unusable(np.array([float("nan"), 1.0001, -0.1, 0.5, float("inf")])) == 4
