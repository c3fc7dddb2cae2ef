"""The models that ship pass their own gate."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightshift.definition.load import load_pipeline
from nightshift.definition.model import Feature, FeatureType
from nightshift.operators.allowed import forbidden_operators
from nightshift.training.export import export
from nightshift.training.features import FeatureStatistics
from nightshift.training.model_file import build_model


def statistics(name: str, feature: Feature) -> FeatureStatistics:
    return FeatureStatistics(
        name,
        feature.type,
        count=10,
        missing=0,
        vocabulary=("no", "yes") if feature.type is FeatureType.STRING else (1, 2, 40),
        mean=40.0,
        variance=500.0,
        minimum=0.0,
        maximum=95.0,
        shape=feature.shape,
    )


@pytest.mark.parametrize("name", ["flights", "employment", "fashion"])
def test_it_has_no_forbidden_operator(name: str, tmp_path: Path) -> None:
    definition = load_pipeline(name)
    known = {n: statistics(n, feature) for n, feature in definition.features.items()}
    classes = definition.label.classes
    outputs = [len(classes)] if classes else []
    model = build_model(definition.folder, known, definition.training.parameters, *outputs)
    export(model, definition.features, tmp_path)
    assert forbidden_operators((tmp_path / "saved_model.pb").read_bytes()) == ()
