"""The fitted Keras model beside its export, for steps that go on fitting it.

A SavedModel answers but cannot be fitted further. What a step needs to have the Keras model again
is little: the weights, and the statistics that ``model.py`` built it from.

Layout: ``keras/weights.npz``, the model's variables in their order; ``keras/statistics.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter

from nightshift.errors import BadDefinitionError
from nightshift.training.features import FeatureStatistics

if TYPE_CHECKING:
    import tf_keras

KEPT_MODEL = "keras"
_WEIGHTS, _STATISTICS = "weights.npz", "statistics.json"
_BY_FEATURE: TypeAdapter[dict[str, FeatureStatistics]] = TypeAdapter(dict[str, FeatureStatistics])


def keep_model(
    model: tf_keras.Model, statistics: Mapping[str, FeatureStatistics], folder: Path
) -> None:
    """Write weights and statistics into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    # By number: a file of some thousand variables must not depend on unique names.
    values = {f"{n:05d}": variable.numpy() for n, variable in enumerate(model.variables)}
    np.savez(folder / _WEIGHTS, **values)
    (folder / _STATISTICS).write_bytes(_BY_FEATURE.dump_json(dict(statistics), indent=1))


def rebuild_model(
    folder: Path,
    pipeline: Path,
    parameters: Mapping[str, bool | int | float | str],
    classes: int = 0,
) -> tf_keras.Model:
    """The fitted model again, built by the pipeline's own ``model.py``.

    Args:
        folder: What :func:`keep_model` wrote.
        pipeline: The pipeline's folder.
        parameters: ``training.parameters`` that it was trained with.
        classes: Number of ``label.classes``; 0 where the label is 0 or 1.

    Raises:
        BadDefinitionError: model.py builds another model than the one that was trained.
    """
    from nightshift.training.model_file import build_model

    statistics = _BY_FEATURE.validate_json((folder / _STATISTICS).read_bytes())
    model = build_model(pipeline, statistics, parameters, classes)
    with np.load(folder / _WEIGHTS) as kept:
        values = [kept[name] for name in sorted(kept.files)]
    built = [tuple(variable.shape) for variable in model.variables]
    found = [value.shape for value in values]
    if built != found:
        raise BadDefinitionError(
            f"{pipeline.name}/model.py builds {len(built)} variables of other shapes than the "
            f"{len(found)} that were trained: it must build the same model for the same statistics "
            "and parameters.",
            file=f"{pipeline.name}/model.py",
        )
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)
    return model
