"""Build the runtimes that are missing or stale, and show how it goes."""

from __future__ import annotations

import compileall
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from nightshift.command.display import console, heading, since, watch_board
from nightshift.errors import BadDefinitionError
from nightshift.stack.board import Board, Part, Phase
from nightshift.stack.runtime_build import BuildError, RuntimeBuild
from nightshift.stack.settings import StackSettings, current_settings

RUNTIMES = ("airflow", "ml", "validation")
"""What the stack needs beside ``tools``, which this command itself runs in."""
_OVERLAYS = {"testing": "ml", "clients": "ml"}
_ON_DEMAND = ("tensorboard",)
"""Built by the one command that needs it."""


def build(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUNTIME]…", help="Which; default: all but tensorboard."),
    ] = None,
) -> None:
    """Build the runtimes without starting anything. What is built and current is left alone.

    Examples:

      ./nightshift build

      NIGHTSHIFT_RUNTIMES=/opt/runtimes ./nightshift build ml validation
    """
    known = (*RUNTIMES, *_OVERLAYS)
    there = (*known, *_ON_DEMAND)
    if unknown := sorted(set(names or ()) - set(there)):
        raise BadDefinitionError(
            f"There is no runtime {', '.join(unknown)}. There are: {', '.join(there)}."
        )
    settings = current_settings()
    ensure_runtimes(settings, tuple(names or known))
    console.print(f"Runtimes are in {settings.runtimes}")


def ensure_runtimes(settings: StackSettings, names: tuple[str, ...] = RUNTIMES) -> None:
    """Build those that are not current, side by side; the project's own byte code too.

    Raises:
        BuildError: One or more could not be built; the others are kept.
    """
    for base in {_OVERLAYS[name] for name in names if name in _OVERLAYS} - set(names):
        names = (base, *names)
    builds = [build_of(settings, name) for name in names]
    # A step's process writes none, and would spend a second on it each time.
    compileall.compile_dir(settings.project / "include/nightshift", quiet=2)
    stale = [build for build in builds if not build.is_current()]
    if not stale:
        return
    heading(f"Building runtimes ({', '.join(build.name for build in stale)}) from pinned files")
    started = time.monotonic()
    board = Board({build.name: Part(build.name) for build in stale})
    problems = watch_board(lambda: _build_all(stale, board), board)
    built = len(stale) - len(problems)
    console.print(f"  {built} of {len(stale)} built in {since(started)}")
    if problems:
        raise BuildError("\n".join(str(problem) for problem in problems))


def build_of(settings: StackSettings, name: str) -> RuntimeBuild:
    """How one runtime is built on this machine."""
    return RuntimeBuild(
        name,
        root=settings.runtimes,
        locks=settings.project / "include/runtimes",
        overlay=_OVERLAYS.get(name),
    )


def _build_all(builds: list[RuntimeBuild], board: Board) -> list[BuildError]:
    overlays = [build for build in builds if build.overlay]
    bases = [build for build in builds if not build.overlay]
    problems: list[BuildError] = []
    with ThreadPoolExecutor(len(builds)) as pool:
        # Overlays need the Python that they are laid over.
        for stage in (bases, overlays):
            outcomes = pool.map(lambda build: _build_one(build, board), stage)
            problems += [outcome for outcome in outcomes if outcome]
    return problems


def _build_one(build: RuntimeBuild, board: Board) -> BuildError | None:
    board.begin(build.name)
    try:
        build.run()
    except BuildError as error:
        board.end(build.name, Phase.FAILED)
        return error
    board.end(build.name, Phase.READY)
    return None
