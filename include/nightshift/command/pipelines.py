"""``new`` and ``check``: write a pipeline's definition, and see that it is right."""

from __future__ import annotations

import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from nightshift.command.building import ensure_runtimes
from nightshift.command.display import console, watch_board
from nightshift.definition.folders import pipelines_root
from nightshift.definition.load import REQUIRED_FILES, load_pipeline
from nightshift.definition.model import PipelineDefinition
from nightshift.errors import BadDefinitionError
from nightshift.stack.board import Board, Part, Phase
from nightshift.stack.environment import base_environment
from nightshift.stack.settings import StackSettings, current_settings

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PLACEHOLDER = "__NAME__"
_BLANK = re.compile(r"\bBLANK\b")
_TEMPLATE = Path(__file__).with_name("template")


def new(
    name: Annotated[str, typer.Argument(help="Lower case letters, digits and underscores.")],
) -> None:
    """Write a pipeline's folder and its DAG, with a few blanks to fill in. Overwrites nothing.

    Example:

      ./nightshift new churn
    """
    if not _NAME.fullmatch(name):
        raise BadDefinitionError(
            f"{name!r} cannot be a pipeline's name: expected a lower case letter, then lower case "
            "letters, digits and underscores, at most 63 in all."
        )
    folder, dag = pipelines_root() / name, _dag_file(name)
    for path in (folder, dag):
        if path.exists():
            raise BadDefinitionError(f"{path} is there already; nothing was written.")
    folder.mkdir(parents=True)
    for file in REQUIRED_FILES:
        _write(file, folder / file, name)
    _write("dag.py", dag, name)
    console.print(f"Written: {folder}/ with {', '.join(REQUIRED_FILES)}, and {dag}")
    blanks = len(_blanks(folder))
    console.print(f"Next: fill in the {blanks} places marked BLANK, then ./nightshift check {name}")
    console.print(f"Then: ./nightshift retrain {name} --night YYYY-MM-DD")


def check(name: Annotated[str, typer.Argument(help="Name of the pipeline's folder.")]) -> None:
    """Check a pipeline's definition: all four files, and that the model builds. Needs no Airflow.

    Every error names the file, the field or line, and what was expected.

    Example:

      ./nightshift check flights
    """
    settings = current_settings()
    folder = pipelines_root() / name
    if blanks := _blanks(folder):
        raise BadDefinitionError(
            f"{name} has {len(blanks)} blank(s) to fill in:\n"
            + "\n".join(f"  {place}" for place in blanks)
        )
    definition = load_pipeline(name)
    ensure_runtimes(settings, ("ml", "validation"))
    board = Board({part: Part(part) for part in ("schema.pbtxt", "expectations.yaml", "model.py")})
    found, problems = watch_board(lambda: _inspect_all(settings, definition, board), board)
    if problems:
        raise BadDefinitionError("\n".join(problems))
    console.print(
        Text.assemble(
            ("✓ ", "green"),
            f"{name}: {len(definition.features)} features, a model of {found['model']:,} "
            f"parameters, {len(found['schema'])} columns described, {found['rules']} expectations, "
            f"{len(definition.gates)} gate rules",
        )
    )


def _inspect_all(
    settings: StackSettings, definition: PipelineDefinition, board: Board
) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    problems: list[str] = []

    def inspect(what: str, runtime: str, shown: str, *arguments: str) -> None:
        board.begin(shown)
        done = _run(settings, runtime, what, definition.pipeline, *arguments)
        if done.returncode:
            problems.append(_said(done))
            board.end(shown, Phase.FAILED)
        else:
            found[what] = json.loads(done.stdout.strip().splitlines()[-1])
            board.end(shown, Phase.READY)

    with ThreadPoolExecutor(2) as pool:
        model = pool.submit(inspect, "model", "ml", "model.py")
        inspect("schema", "validation", "schema.pbtxt")
        columns = sorted({*found.get("schema", ()), *definition.columns})
        if "schema" in found:  # without it, which columns the rules may read is not known
            inspect("rules", "ml", "expectations.yaml", *columns)
        model.result()
    return found, problems


def _run(
    settings: StackSettings, runtime: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    environment = {
        "HOME": os.environ.get("HOME", "/"),
        **base_environment(settings, runtime),
        "NIGHTSHIFT_PIPELINES": str(pipelines_root()),
        "TF_USE_LEGACY_KERAS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    return subprocess.run(
        [
            settings.runtimes / runtime / "bin/python",
            *("-m", "nightshift.command.inspection", *arguments),
        ],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _said(done: subprocess.CompletedProcess[str]) -> str:
    text = done.stderr.strip() or f"the check ended with exit code {done.returncode}"
    # Libraries warn on the same stream before our own error, which comes last.
    return text if "Traceback" not in text else text.splitlines()[-1]


def _blanks(folder: Path) -> list[str]:
    return [
        f"{folder.name}/{file}, line {number}: {line.strip()}"
        for file in REQUIRED_FILES
        if (folder / file).is_file()
        for number, line in enumerate(
            (folder / file).read_text(encoding="utf-8", errors="replace").splitlines(), start=1
        )
        if _BLANK.search(line.partition("#")[0])  # a comment may speak of blanks
    ]


def _write(template: str, target: Path, name: str) -> None:
    text = (_TEMPLATE / template).read_text(encoding="utf-8")
    with target.open("x", encoding="utf-8") as file:
        file.write(text.replace(_PLACEHOLDER, name))


def _dag_file(name: str) -> Path:
    # Beside the pipelines' folder: a test may keep both elsewhere.
    return pipelines_root().parents[1] / "dags" / f"retrain_{name}.py"
