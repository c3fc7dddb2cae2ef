"""Load a pipeline's ``model.py`` and hold what it builds to what the pipeline declares.

The file is a data engineer's: every way in which it can be wrong ends in one error that names the
file, the line and what was expected.
"""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nightshift.errors import BadDefinitionError
from nightshift.training.features import FeatureStatistics
from nightshift.training.signature import OUTPUT

if TYPE_CHECKING:
    import tf_keras

_SIGNATURE = "def build(features, parameters) -> tf_keras.Model"


def build_model(
    folder: Path,
    features: Mapping[str, FeatureStatistics],
    parameters: Mapping[str, bool | int | float | str],
    classes: int = 0,
) -> tf_keras.Model:
    """The model that the pipeline in ``folder`` defines.

    Args:
        folder: The pipeline's folder.
        features: Statistics of the declared features.
        parameters: ``training.parameters`` of pipeline.yaml.
        classes: Number of ``label.classes``; 0 where the label is 0 or 1.

    Raises:
        BadDefinitionError: model.py raises, has no ``build``, or builds something whose inputs or
            output are not the declared ones.
    """
    path = folder / "model.py"
    shown = f"{folder.name}/model.py"
    module = _load(path, shown)
    build = getattr(module, "build", None)
    if not callable(build):
        raise BadDefinitionError(f"{shown} has no function 'build'; expected: {_SIGNATURE}.")
    with _named_errors(path, shown):
        model = _answering_in_float32(build(features, parameters))
    _check(model, features, classes, shown)
    return model


def _answering_in_float32(model: Any) -> Any:
    """The model, its last layer computing in float32 whatever the policy of the others.

    Eight bits of precision are enough to learn with, not to rank by: under ``mixed_bfloat16`` a
    sigmoid would know some hundred probabilities.
    """
    import tf_keras

    mixed = tf_keras.mixed_precision.global_policy().compute_dtype != "float32"
    if not mixed or not isinstance(model, tf_keras.Model) or OUTPUT not in model.output_names:
        return model
    last = model.get_layer(OUTPUT)
    last._set_dtype_policy("float32")
    return tf_keras.Model(model.inputs, last(last.input))


def _load(path: Path, shown: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"nightshift_model_{path.parent.name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _named_errors(path, shown):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _named_errors(path: Path, shown: str) -> Iterator[None]:
    try:
        yield
    except SyntaxError as error:
        # A syntax error may be in a module that model.py imports.
        where = shown if error.filename == str(path) else str(error.filename)
        raise BadDefinitionError(
            f"{where}, line {error.lineno}: not valid Python: {error.msg}.",
            file=where,
            line=error.lineno,
        ) from error
    except KeyError as error:
        raise _at_line(error, path, shown, f"KeyError: {error} is not there") from error
    except Exception as error:
        raise _at_line(error, path, shown, f"{type(error).__name__}: {error}") from error


def _at_line(error: Exception, path: Path, shown: str, what: str) -> BadDefinitionError:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in frames if frame.filename == str(path)]
    number = lines[-1].lineno if lines else None
    text = f"\n    {lines[-1].line}" if lines else ""
    place = f"{shown}, line {number}" if number else shown
    return BadDefinitionError(
        f"{place}: {what}{text}\nCorrect model.py; './nightshift check {path.parent.name}' "
        "checks a definition.",
        file=shown,
        line=number,
    )


def _check(model: Any, features: Mapping[str, FeatureStatistics], classes: int, shown: str) -> None:
    import tf_keras

    if not isinstance(model, tf_keras.Model) or not getattr(model, "inputs", None):
        raise BadDefinitionError(
            f"{shown}: build returned {type(model).__module__}.{type(model).__name__}; expected a "
            "tf_keras.Model made of tf_keras.Input layers (Keras 3 and subclassed models cannot "
            "be used).",
            file=shown,
        )
    problems = [*_input_problems(model, features), *_output_problems(model, classes or 1)]
    if problems:
        raise BadDefinitionError(
            f"{shown}: the model does not fit the features in pipeline.yaml:\n"
            + "\n".join(f"  {problem}" for problem in problems),
            file=shown,
            problems=problems,
        )


def _input_problems(
    model: tf_keras.Model, features: Mapping[str, FeatureStatistics]
) -> Iterator[str]:
    found = dict(zip(model.input_names, model.inputs, strict=True))
    for name in sorted(features.keys() - found.keys()):
        shape = features[name].input_shape
        yield f"feature {name!r} has no input; expected tf_keras.Input({shape}, name={name!r}, …)"
    for name in sorted(found.keys() - features.keys()):
        yield f"input {name!r} is not a feature; declared are {', '.join(features)}"
    for name in sorted(found.keys() & features.keys()):
        expected = ((None, *features[name].input_shape), features[name].dtype)
        actual = (tuple(found[name].shape), found[name].dtype.name)
        if actual != expected:
            yield (
                f"input {name!r} has shape {list(actual[0])} and type {actual[1]}; expected shape "
                f"{list(expected[0])} and type {expected[1]}"
            )


def _output_problems(model: tf_keras.Model, width: int) -> Iterator[str]:
    if list(model.output_names) != [OUTPUT]:
        yield f"outputs are {list(model.output_names)}; expected one layer named {OUTPUT!r}"
    elif tuple(model.outputs[0].shape) != (None, width) or model.outputs[0].dtype != "float32":
        yield (
            f"output {OUTPUT!r} has shape {list(model.outputs[0].shape)} and type "
            f"{model.outputs[0].dtype.name}; expected [None, {width}] and float32"
        )
