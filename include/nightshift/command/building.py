"""Build the runtimes that are missing or stale, and show how it goes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from nightshift.command.display import console, heading, since, watch_board
from nightshift.stack.board import Board, Part, Phase
from nightshift.stack.runtime_build import BuildError, RuntimeBuild
from nightshift.stack.settings import StackSettings

RUNTIMES = ("airflow", "ml", "validation")
"""What the stack needs beside ``tools``, which this command itself runs in."""
_OVERLAYS = {"testing": "ml"}


def ensure_runtimes(settings: StackSettings, names: tuple[str, ...] = RUNTIMES) -> None:
    """Build those that are not current, side by side.

    Raises:
        BuildError: One or more could not be built; the others are kept.
    """
    builds = [build_of(settings, name) for name in names]
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
    with ThreadPoolExecutor(len(builds)) as pool:
        outcomes = list(pool.map(lambda build: _build_one(build, board), builds))
    return [outcome for outcome in outcomes if outcome]


def _build_one(build: RuntimeBuild, board: Board) -> BuildError | None:
    board.begin(build.name)
    try:
        build.run()
    except BuildError as error:
        board.end(build.name, Phase.FAILED)
        return error
    board.end(build.name, Phase.READY)
    return None
