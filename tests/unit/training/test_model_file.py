"""model.py: whatever is wrong with it ends in one error that names file, line and expectation."""

from __future__ import annotations

from pathlib import Path

import pytest
import tf_keras

from nightshift.errors import BadDefinitionError
from nightshift.training.features import compute_statistics
from nightshift.training.model_file import build_model
from tests.unit.training.small_data import FEATURES, MODEL, READER, columns, write_files


def _build(folder: Path, text: str) -> tf_keras.Model:
    pipeline = folder / "small"
    pipeline.mkdir(exist_ok=True)
    (pipeline / "model.py").write_text(text)
    batches = READER.batches(write_files(folder / "data", [columns(20)]))
    return build_model(pipeline, compute_statistics(batches, FEATURES), {"scale": 1.0})


def test_a_good_file_builds(tmp_path: Path) -> None:
    assert _build(tmp_path, MODEL).count_params() > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import tf_keras\n\ndef build(:\n", r"small/model.py, line 3: not valid Python"),
        ("import nothing_like_it\n", r"small/model.py, line 1: ModuleNotFoundError"),
        ("x = 1\n", r"small/model.py has no function 'build'; expected: def build\(features"),
        ("build = 3\n", r"has no function 'build'"),
        (
            "def build(features, parameters):\n    return parameters['depth']\n",
            r"small/model.py, line 2: KeyError: 'depth' is not there\n    return param",
        ),
        ("def build(features):\n    return None\n", r"TypeError: build\(\) takes 1"),
        ("def build(features, parameters):\n    return 3\n", r"build returned builtins.int"),
        (MODEL.replace("import tf_keras", "import keras as tf_keras"), r"expected a tf_keras.Mod"),
        (MODEL.replace("name=n,", "name=n + '_x',"), r"feature 'colour' has no input"),
        (MODEL.replace("name=n,", "name=n + '_x',"), r"input 'size_x' is not a feature"),
        (
            MODEL.replace("dtype=f.dtype", "dtype='int32' if n == 'size' else f.dtype"),
            r"'size' has shape \[None, 1\] and type int32; expected shape .* type int64",
        ),
        (MODEL.replace('name="probability"', 'name="answer"'), r"outputs are \['answer'\]"),
        (MODEL.replace("layers.Dense(1, act", "layers.Dense(2, act"), r"has shape \[None, 2\]"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadDefinitionError, match=message):
        _build(tmp_path, text)


def test_the_line_is_the_files_own_however_deep_it_fails(tmp_path: Path) -> None:
    text = MODEL.replace("layers.Dense(8,", "layers.Dense(-8,")
    with pytest.raises(BadDefinitionError) as caught:
        _build(tmp_path, text)
    line = next(n for n, t in enumerate(text.splitlines(), 1) if "Dense(-8" in t)
    assert caught.value.facts["line"] == line


def test_the_end_of_the_process_is_not_mistaken_for_a_wrong_file(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        _build(tmp_path, "raise SystemExit(143)\n")
