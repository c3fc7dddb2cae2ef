"""Golden requests of a served variant: the float model's questions, the variant's own answers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nightshift.compression.litert import LiteModel
from nightshift.definition.model import Feature, FeatureType
from nightshift.training.features import dtype_of
from nightshift.training.golden import Golden
from nightshift.training.signature import OUTPUT


def golden_of_variant(
    golden: Golden, served: bytes, output_step: float, features: Mapping[str, Feature]
) -> Golden:
    """The same requests, answered by the served file.

    A host must repeat these, not the float model's. Kernels of another processor or library may
    round the last integer differently, so that the tolerance grows by one step of the output.

    Args:
        golden: The float model's.
        served: The file that hosts load.
        output_step: What one step of its integer output is worth (the output's scale).
        features: The declared features.
    """
    inputs = {
        name: np.array(values, dtype=_numpy_type(features[name]))
        for name, values in golden.inputs.items()
    }
    answers = LiteModel(served).predict(inputs)
    return Golden(
        signature=golden.signature,
        inputs=golden.inputs,
        outputs={OUTPUT: answers.tolist()},
        tolerance=golden.tolerance + output_step,
    )


def _numpy_type(feature: Feature) -> str:
    return "object" if feature.type is FeatureType.STRING else dtype_of(feature.type)
