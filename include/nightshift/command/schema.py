"""``schema``: infer a pipeline's schema from the lake, see what differs, accept it."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime
from typing import Annotated

import typer
from rich.text import Text

from nightshift.command.building import ensure_runtimes
from nightshift.command.display import console
from nightshift.definition.folders import pipelines_root
from nightshift.definition.load import load_pipeline
from nightshift.errors import BadDataError
from nightshift.stack.environment import base_environment, step_environment
from nightshift.stack.processes import processes
from nightshift.stack.settings import StackSettings, current_settings
from nightshift.stack.supervision import Supervisor

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the pipeline's folder.")]

app = typer.Typer(
    help="What the data must look like: infer it from the lake, compare, accept.\n\n"
    "A changed schema is a reviewed file: infer writes a proposal beside schema.pbtxt, accept puts "
    "it in its place.\n\nExamples:\n\n  ./nightshift schema infer flights\n\n"
    "  ./nightshift schema diff flights\n\n  ./nightshift schema accept flights --loosen dest",
    no_args_is_help=True,
)


@app.command()
def infer(
    name: Name,
    night: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The window's last day; default: the newest."),
    ] = None,
) -> None:
    """Propose the schema that the lake's newest window asks for. The stack must be up.

    Writes schema.proposed.pbtxt beside schema.pbtxt: the same text with what the data asks for,
    comments kept. Limits are proposed wider, never narrower, and only as far as the data goes.

    Example:

      ./nightshift schema infer flights
    """
    load_pipeline(name)
    settings = current_settings()
    Supervisor(settings, processes(settings)).infos()  # says so where the stack is not up
    chosen = ["--night", f"{night:%Y-%m-%d}"] if night else []
    environment = step_environment(settings, "validation")
    changes = _run(settings, environment, "infer", name, *chosen)
    if not changes:
        console.print(f"{name}: schema.pbtxt fits the window; nothing is proposed.")
        return
    _show(changes)
    console.print(f"Written: {pipelines_root() / name / 'schema.proposed.pbtxt'}. Review it, then:")
    console.print(f"  ./nightshift schema accept {name}")


@app.command()
def diff(name: Name) -> None:
    """What the proposal would change, a line each, and whether it lets more data through.

    Example:

      ./nightshift schema diff flights
    """
    settings = current_settings()
    changes = _run(settings, base_environment(settings, "validation"), "diff", name)
    _show(changes)
    if not changes:
        console.print(f"{name}: the proposal says what schema.pbtxt says.")


@app.command()
def accept(
    name: Name,
    loosen: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="A column whose limits may let more through."),
    ] = None,
) -> None:
    """Put the reviewed proposal in the place of schema.pbtxt.

    What would let data through that was refused is accepted only for columns named by --loosen.

    Example:

      ./nightshift schema accept flights --loosen dest
    """
    settings = current_settings()
    flags = [part for column in loosen or () for part in ("--loosen", column)]
    environment = base_environment(settings, "validation")
    _show(_run(settings, environment, "accept", name, *flags))
    console.print(f"{name}: schema.pbtxt is the proposal now. Commit it.")


def _run(settings: StackSettings, environment: dict[str, str], *arguments: str) -> list[str]:
    """The lines that the process prints.

    Raises:
        BadDataError: It ended with an error; the message is its own.
    """
    ensure_runtimes(settings, ("validation",))
    done = subprocess.run(
        [
            settings.runtimes / "validation/bin/python",
            *("-m", "nightshift.validation.schema_life", *arguments),
        ],
        env={
            "HOME": os.environ.get("HOME", "/"),
            "NIGHTSHIFT_PIPELINES": str(pipelines_root()),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BadDataError(_said(done.stderr) or f"it ended with exit code {done.returncode}")
    return [line for line in done.stdout.splitlines() if line.strip()]


def _said(stderr: str) -> str:
    text = stderr.strip()
    return text.splitlines()[-1] if "Traceback" in text else text


def _show(changes: list[str]) -> None:
    for change in changes:
        kind, _, text = change.partition(" ")
        colour = "yellow" if kind == "looser" else "green"
        console.print(Text.assemble((f"  {kind:<8}", colour), text.strip()))
