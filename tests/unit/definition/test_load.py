"""Errors in pipeline.yaml name the file, the field and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nightshift.definition.load import load_pipeline
from nightshift.errors import BadDefinitionError

MINIMAL = """
pipeline: toy
dataset: {name: toy}
label: {name: y, column: y}
features: {a: float}
window: {days: 3, holdout_days: 1}
gates: [{metric: auc, floor: 0.6}]
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "toy"
    folder.mkdir()
    for name in ("model.py", "schema.pbtxt", "expectations.yaml"):
        (folder / name).touch()
    (folder / "pipeline.yaml").write_text(MINIMAL)
    monkeypatch.setenv("NIGHTSHIFT_PIPELINES", str(tmp_path))
    return folder


def edit(folder: Path, **changes: object) -> None:
    fields = yaml.safe_load(MINIMAL) | changes
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(fields))


def error_of(name: str) -> str:
    with pytest.raises(BadDefinitionError) as caught:
        load_pipeline(name)
    return caught.value.message


def test_the_smallest_pipeline_is_short(toy: Path) -> None:
    definition = load_pipeline("toy")
    assert definition.features["a"].type == "float"
    assert definition.training.epochs == 5
    assert definition.schedule.timezone == "UTC"


def test_the_shipped_flights_pipeline_is_valid() -> None:
    assert load_pipeline("flights").window.days == 90


def test_the_shipped_fashion_pipeline_is_valid() -> None:
    definition = load_pipeline("fashion")
    assert definition.features["image"].shape == (28, 28, 1)
    assert len(definition.label.classes) == 10
    assert definition.main_metric == "accuracy"


def test_a_typo_names_the_field(toy: Path) -> None:
    edit(toy, window={"days": 3, "holdout_dys": 1})
    message = error_of("toy")
    assert "toy/pipeline.yaml" in message
    assert "window.holdout_dys: is not a known field" in message
    assert "window.holdout_days: is missing" in message


def test_every_error_is_told_at_once(toy: Path) -> None:
    edit(toy, training={"epochs": 0}, schedule={"timezone": "Mars/Base"})
    message = error_of("toy")
    assert "training.epochs" in message
    assert "given: 0" in message
    assert "'Mars/Base' is not an IANA time zone" in message


def test_a_holdout_as_long_as_the_window_is_refused(toy: Path) -> None:
    edit(toy, window={"days": 3, "holdout_days": 3})
    assert "holdout_days (3) must be less than days (3)" in error_of("toy")


def test_a_feature_that_is_the_label_is_refused(toy: Path) -> None:
    edit(toy, features={"a": "float", "y": "int"})
    assert "'y' is the label's column: it leaks" in error_of("toy")


@pytest.mark.parametrize("limits", [{}, {"floor": 0.5, "margin": 0.1}])
def test_a_rule_has_exactly_one_limit(toy: Path, limits: dict[str, float]) -> None:
    edit(toy, gates=[{"metric": "auc", **limits}])
    assert "give exactly one of floor, ceiling, margin" in error_of("toy")


def test_a_rule_on_an_undeclared_slice_is_refused(toy: Path) -> None:
    edit(toy, gates=[{"metric": "auc", "floor": 0.5, "slice": "b"}])
    assert "slice ['b'] is not declared under slices" in error_of("toy")


def test_broken_yaml_names_file_and_line(toy: Path) -> None:
    (toy / "pipeline.yaml").write_text("pipeline: [")
    message = error_of("toy")
    assert "toy/pipeline.yaml is not valid YAML" in message
    assert "line" in message


def test_yaml_cannot_make_python_objects(toy: Path) -> None:
    (toy / "pipeline.yaml").write_text("pipeline: !!python/object/apply:os.getcwd []")
    assert "is not valid YAML" in error_of("toy")


def test_a_folder_of_another_name_is_refused(toy: Path) -> None:
    edit(toy, pipeline="other")
    assert "expected the folder's name, 'toy'" in error_of("toy")


def test_a_missing_file_is_named(toy: Path) -> None:
    (toy / "schema.pbtxt").unlink()
    assert "toy/schema.pbtxt is missing" in error_of("toy")


def test_an_unknown_pipeline_lists_the_known_ones(toy: Path) -> None:
    assert "Known pipelines: ['toy']" in error_of("elsewhere")


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({"a": "image"}, "an image has a shape: [height, width, channels], nothing else has"),
        ({"a": {"type": "float", "shape": [2, 2, 1]}}, "nothing else has"),
        ({"a": {"type": "image", "shape": [2, 0, 1]}}, "shape [2, 0, 1] must be positive"),
        ({"a": {"type": "image", "shape": [2, 2]}}, "features.a.shape.2: is missing"),
    ],
)
def test_images_and_nothing_else_have_a_shape(
    toy: Path, features: dict[str, object], words: str
) -> None:
    edit(toy, features=features)
    assert words in error_of("toy")


CLASSES = {"name": "y", "column": "y", "classes": ["cat", "dog", "bird"]}


def test_classes_are_judged_by_what_classes_have(toy: Path) -> None:
    edit(toy, label=CLASSES)
    assert "auc is of two classes; with label.classes use accuracy" in error_of("toy")
    accuracy = [{"metric": "accuracy", "floor": 0.5}]
    stopping = {"early_stopping": {"monitor": "auc"}}
    edit(toy, label=CLASSES, gates=accuracy, training=stopping)
    assert "with label.classes monitor loss or accuracy" in error_of("toy")
    edit(toy, label=CLASSES, gates=accuracy)
    assert load_pipeline("toy").label.classes == ("cat", "dog", "bird")


def test_a_label_is_of_one_kind(toy: Path) -> None:
    edit(toy, label={**CLASSES, "above": 3})
    assert "give either above or classes" in error_of("toy")
    edit(toy, label={**CLASSES, "classes": ["cat", "cat"]})
    assert "classes must be two or more different names" in error_of("toy")


def test_a_search_changes_parameters_that_are_there(toy: Path) -> None:
    edit(toy, tuning={"space": {"learnig_rate": {"low": 0.001, "high": 0.1}}})
    assert "tuning.space.learnig_rate: there is no such parameter; there are learning_rate" in (
        error_of("toy")
    )


def test_a_search_can_try_the_pipelines_own_parameters(toy: Path) -> None:
    edit(toy, tuning={"space": {"global_batch_size": {"choices": [32, 64]}}})
    message = error_of("toy")
    assert "tuning.space.global_batch_size: the value in 'training', 256, is not among" in message
