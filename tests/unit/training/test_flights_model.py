"""The model that ships: it answers whatever a client sends."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from nightshift.definition.load import load_pipeline
from nightshift.definition.model import FeatureType
from nightshift.training.features import FeatureStatistics
from nightshift.training.model_file import build_model

WORDS = {"carrier": ("AA", "UA"), "origin": ("EWR", "JFK"), "dest": ("IAH", "MIA")}


@pytest.fixture(scope="module")
def model() -> tf_keras.Model:
    definition = load_pipeline("flights")
    statistics = {
        name: FeatureStatistics(
            name,
            feature.type,
            count=10,
            missing=0,
            vocabulary=WORDS.get(name, ()) if feature.type is FeatureType.STRING else (8,),
            mean=8.0,
            variance=0.0,  # a window inside one month
            minimum=8.0,
            maximum=8.0,
        )
        for name, feature in definition.features.items()
    }
    return build_model(definition.folder, statistics, definition.training.parameters)


@pytest.mark.parametrize("time", [0, 1, 1745, 2359, 2400, 9999, -100])
def test_it_answers_any_time_and_any_place(model: tf_keras.Model, time: int) -> None:
    row = {
        "carrier": "ZZ",
        "origin": "JFK",
        "dest": "SBN",
        "month": 8,
        "weekday": 5,
        "sched_dep_time": time,
        "sched_arr_time": time,
        "distance": 700.0,
    }
    inputs = {
        name: tf.constant([[row[name]]], tensor.dtype)
        for name, tensor in zip(model.input_names, model.inputs, strict=True)
    }
    answer = model(inputs).numpy()
    assert answer.shape == (1, 1)
    assert np.isfinite(answer).all()
    assert 0 <= answer[0, 0] <= 1
