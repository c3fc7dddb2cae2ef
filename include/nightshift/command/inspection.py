"""Checks of a definition that need a runtime of their own; each runs as a small process.

``python -m nightshift.command.inspection schema NAME`` in ``validation``,
``… model NAME`` and ``… rules NAME COLUMN…`` in ``ml``. Imports nothing of the command itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence

from nightshift.definition.load import load_pipeline
from nightshift.definition.model import Feature, FeatureType, PipelineDefinition
from nightshift.errors import NightshiftError
from nightshift.training.features import FeatureStatistics


def inspect_schema(definition: PipelineDefinition, _: Sequence[str]) -> None:
    """schema.pbtxt parses and describes every column; prints its columns as JSON."""
    from nightshift.validation.schema import read_schema

    schema = read_schema(definition.folder, _described(definition))
    print(json.dumps([feature.name for feature in schema.feature]))


def _described(definition: PipelineDefinition) -> list[str]:
    # What the statistics step asks of the schema.
    return sorted({*definition.features, definition.label.column, *definition.sliced})


def inspect_model(definition: PipelineDefinition, _: Sequence[str]) -> None:
    """model.py builds a model whose inputs are the declared features; prints its size."""
    from nightshift.training.model_file import build_model

    statistics = {name: example_of(name, f) for name, f in definition.features.items()}
    classes = len(definition.label.classes)
    model = build_model(definition.folder, statistics, definition.training.parameters, classes)
    print(json.dumps(int(model.count_params())))


def inspect_rules(definition: PipelineDefinition, columns: Sequence[str]) -> None:
    """expectations.yaml names expectations and columns that exist; prints how many."""
    from nightshift.validation.expectations import _expectation
    from nightshift.validation.suite import EXPECTATIONS_FILE, read_rules

    rules = read_rules(definition.folder, columns)
    for number, entry in enumerate(rules.expectations):
        _expectation(f"{definition.folder.name}/{EXPECTATIONS_FILE}", number, entry)
    print(json.dumps(len(rules.expectations)))


def example_of(name: str, feature: Feature) -> FeatureStatistics:
    """Statistics such as a small window might have, to build a model without data."""
    words = feature.type is FeatureType.STRING
    vocabulary = ("a", "b", "c") if words else (0, 1, 2) if feature.type is FeatureType.INT else ()
    return FeatureStatistics(
        name=name,
        type=feature.type,
        count=3,
        missing=0,
        vocabulary=vocabulary,
        mean=0.0 if words else 1.0,
        variance=0.0 if words else 2 / 3,
        minimum=0.0,
        maximum=0.0 if words else 2.0,
        shape=feature.shape,
    )


_INSPECTIONS: dict[str, Callable[[PipelineDefinition, Sequence[str]], None]] = {
    "schema": inspect_schema,
    "model": inspect_model,
    "rules": inspect_rules,
}


def main(arguments: Sequence[str]) -> int:
    """Run one inspection; the error of a wrong definition goes to standard error."""
    what, name, *rest = arguments
    try:
        _INSPECTIONS[what](load_pipeline(name), rest)
    except NightshiftError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
