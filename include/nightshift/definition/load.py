"""Read ``pipeline.yaml`` into the typed model, with errors that name file and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from nightshift.definition.folders import pipeline_names, pipelines_root
from nightshift.definition.model import PipelineDefinition
from nightshift.errors import BadDefinitionError

REQUIRED_FILES = ("pipeline.yaml", "model.py", "schema.pbtxt", "expectations.yaml")


def load_pipeline(name: str) -> PipelineDefinition:
    """Read and check one pipeline's definition.

    Raises:
        BadDefinitionError: A file is missing, is not YAML, or a field is wrong; the message
            names the file, every wrong field and what was expected.
    """
    folder = pipelines_root() / name
    for required in REQUIRED_FILES:
        if not (folder / required).is_file():
            raise BadDefinitionError(
                f"Pipeline '{name}': the file {name}/{required} is missing. "
                f"A pipeline is a folder with {', '.join(REQUIRED_FILES)}; "
                f"'./nightshift new NAME' makes one. Known pipelines: {pipeline_names()}."
            )
    fields = _read_yaml(folder / "pipeline.yaml", f"{name}/pipeline.yaml")
    return _validate(fields, folder)


def _read_yaml(path: Path, shown: str) -> dict[str, Any]:
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadDefinitionError(f"{shown} is not valid YAML: {error}", file=shown) from error
    if not isinstance(fields, dict):
        raise BadDefinitionError(f"{shown}: expected sections such as 'dataset:' at the top level")
    return fields


def _validate(fields: dict[str, Any], folder: Path) -> PipelineDefinition:
    shown = f"{folder.name}/pipeline.yaml"
    try:
        definition = PipelineDefinition.model_validate({**fields, "folder": folder})
    except ValidationError as error:
        lines = explained(error)
        raise BadDefinitionError(
            f"{shown} has {len(lines)} error(s):\n" + "\n".join(f"  {line}" for line in lines),
            file=shown,
            fields=[_where(e["loc"]) for e in error.errors()],
        ) from None
    if definition.pipeline != folder.name:
        raise BadDefinitionError(
            f"{shown}: pipeline: is {definition.pipeline!r}, expected the folder's name, "
            f"{folder.name!r}",
            file=shown,
        )
    return definition


def explained(error: ValidationError, whole: str = "(whole file)") -> list[str]:
    """One line per wrong field: its place, and what was expected.

    Args:
        error: What validation raised.
        whole: Place of an error that is no single field's.
    """
    return [f"{_where(e['loc']) if e['loc'] else whole}: {_expected(e)}" for e in error.errors()]


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "(whole file)"


def _expected(error: Any) -> str:
    if error["type"] == "missing":
        return "is missing; it is required"
    if error["type"] == "extra_forbidden":
        return "is not a known field; check the spelling"
    text = str(error["msg"]).removeprefix("Value error, ")
    given = error.get("input")
    shown = "" if isinstance(given, dict) else f" (given: {given!r})"
    return f"{text}{shown}"
