"""The model that ships: it answers whatever a client sends, and knows no sex and no race."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from nightshift.definition.load import load_pipeline
from nightshift.definition.model import FeatureType
from nightshift.training.features import FeatureStatistics
from nightshift.training.model_file import build_model


@pytest.fixture(scope="module")
def model() -> tf_keras.Model:
    definition = load_pipeline("employment")
    statistics = {
        name: FeatureStatistics(
            name,
            feature.type,
            count=10,
            missing=0,
            vocabulary=("no", "yes") if feature.type is FeatureType.STRING else (40,),
            mean=40.0,
            variance=500.0,
            minimum=0.0,
            maximum=95.0,
        )
        for name, feature in definition.features.items()
    }
    return build_model(definition.folder, statistics, definition.training.parameters)


def answer(model: tf_keras.Model, age: int, word: str) -> float:
    inputs = {
        name: tf.constant([[age if name == "age" else word]], tensor.dtype)
        for name, tensor in zip(model.input_names, model.inputs, strict=True)
    }
    found = model(inputs).numpy()
    assert found.shape == (1, 1)
    return float(found[0, 0])


@pytest.mark.parametrize("age", [-1, 0, 95, 10_000])
def test_it_answers_any_age_and_any_word(model: tf_keras.Model, age: int) -> None:
    assert 0 <= answer(model, age, "never heard of") <= 1
    assert np.isfinite(answer(model, age, ""))


def test_everyone_above_ninety_is_of_one_age(model: tf_keras.Model) -> None:
    # The survey calls them all 94 in one year and 95 in another.
    assert answer(model, 94, "yes") == answer(model, 95, "yes") == answer(model, 90, "yes")
    assert answer(model, 90, "yes") != answer(model, 89, "yes")


def test_sex_and_race_are_no_inputs(model: tf_keras.Model) -> None:
    assert not {"sex", "race"} & set(model.input_names)
