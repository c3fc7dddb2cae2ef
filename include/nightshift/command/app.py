"""The command line as a whole: its help, its options for every command, how it ends."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from nightshift.command.display import errors
from nightshift.errors import NightshiftError
from nightshift.stack.runtime_build import BuildError

_HELP = """
Retrains TensorFlow models every night on Airflow, and releases the good ones.

[bold]First time?[/bold]  ./nightshift demo
  builds everything, trains three real nights and serves the result.
  Four to ten minutes; 10 GB of disk, 4 GB of memory.

[bold]Every day[/bold]
  ./nightshift up                   start everything on 127.0.0.1
  ./nightshift status               what runs, which version is live
  ./nightshift retrain flights --night 2013-08-31
  ./nightshift rollback flights     back to the version before
  ./nightshift watch flights        the release under way, with its checks
  ./nightshift lineage flights@7    data, code and persons behind a version
  ./nightshift tensorboard flights  how training went
  ./nightshift down                 stop everything; data stays

[bold]A pipeline of your own[/bold]
  ./nightshift new churn            a folder and a DAG, a few blanks
  ./nightshift check churn          is it right? needs no Airflow
"""


class _Group(TyperGroup):
    """Ends a command with one clear line where what went wrong was foreseen."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; foreseen errors become a line and exit code 1."""
        try:
            return super().invoke(ctx)
        except (NightshiftError, BuildError, PermissionError) as error:
            if ctx.params.get("debug"):
                raise
            show_error(error)
            raise typer.Exit(1) from None
        except OSError as error:
            if ctx.params.get("debug") or error.errno is None or error.errno != 28:
                raise
            show_error(error)
            raise typer.Exit(1) from None


_START, _WORK, _AUTHOR = "Start and stop", "Nights and releases", "Write and test"
_COMMANDS = {
    "demo": ("demo", _START),
    "up": ("stack", _START),
    "down": ("stack", _START),
    "status": ("stack", _START),
    "logs": ("stack", _START),
    "seed": ("seeding", _WORK),
    "retrain": ("retraining", _WORK),
    "rollback": ("releases", _WORK),
    "watch": ("releases", _WORK),
    "answer": ("releases", _WORK),
    "freeze": ("releases", _WORK),
    "thaw": ("releases", _WORK),
    "drain": ("releases", _WORK),
    "undrain": ("releases", _WORK),
    "replay": ("replay", _WORK),
    "audit": ("audit", _WORK),
    "sign": ("signatures", _WORK),
    "client": ("clients", _WORK),
    "lineage": ("lineage", _WORK),
    "reproduce": ("lineage", _WORK),
    "tensorboard": ("tensorboard", _WORK),
    "new": ("pipelines", _AUTHOR),
    "check": ("pipelines", _AUTHOR),
    "schema": ("schema", _AUTHOR),
    "test": ("testing", _AUTHOR),
    "build": ("building", _AUTHOR),
}
"""Module and panel of each command; the module has a function, or an ``app`` of several, for it."""


def command_line(wanted: str | None = None) -> typer.Typer:
    """The whole command line.

    Args:
        wanted: The one command that will be run, where that is known: no other is imported, so that
            a roll-back does not wait for what it does not need.
    """
    app = typer.Typer(
        cls=_Group,
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(everywhere)
    for name in [wanted] if wanted in _COMMANDS else _COMMANDS:
        module, panel = _COMMANDS[name]
        found = import_module(f"nightshift.command.{module}")
        if function := getattr(found, name, None):
            app.command(name, rich_help_panel=panel)(function)
        else:
            app.add_typer(found.app, name=name, rich_help_panel=panel)
    return app


def everywhere(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the full trace when something fails.")
    ] = False,
) -> None:
    """Options that every command has."""


def show_error(error: BaseException) -> None:
    """One clear statement of what is wrong, on standard error."""
    if isinstance(error, OSError) and error.filename:
        message = f"{error.filename}: {error.strerror}"
    else:
        message = str(error)
    errors.print(Text.assemble(("✗ ", "bold red"), message))
    facts = error.facts if isinstance(error, NightshiftError) else {}
    for line in facts.get("log", ()):
        errors.print(Text(f"    {line}", style="dim"))


def main() -> None:
    """Run the command line and end the process with its code."""
    named = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    try:
        command_line(named)(prog_name="./nightshift")
    except KeyboardInterrupt:
        sys.exit(130)
