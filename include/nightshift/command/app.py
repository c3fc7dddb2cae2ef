"""The command line as a whole: its help, its options for every command, how it ends."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from nightshift.command import (
    audit,
    building,
    clients,
    demo,
    lineage,
    pipelines,
    releases,
    replay,
    retraining,
    schema,
    seeding,
    signatures,
    stack,
    tensorboard,
    testing,
)
from nightshift.command.display import errors
from nightshift.errors import NightshiftError
from nightshift.stack.runtime_build import BuildError

_HELP = """
Retrains TensorFlow models every night on Airflow, and releases the good ones.

[bold]First time?[/bold]  ./nightshift demo
  builds everything, trains three real nights and serves the result.
  About 12 minutes; 8 GB of disk, 4 GB of memory.

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


app = typer.Typer(
    cls=_Group,
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def everywhere(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the full trace when something fails.")
    ] = False,
) -> None:
    """Options that every command has."""


_START, _WORK, _AUTHOR = "Start and stop", "Nights and releases", "Write and test"

app.command(rich_help_panel=_START)(demo.demo)
app.command(rich_help_panel=_START)(stack.up)
app.command(rich_help_panel=_START)(stack.down)
app.command(rich_help_panel=_START)(stack.status)
app.command(rich_help_panel=_START)(stack.logs)
app.command(rich_help_panel=_WORK)(seeding.seed)
app.command(rich_help_panel=_WORK)(retraining.retrain)
app.command(rich_help_panel=_WORK)(releases.rollback)
app.command(rich_help_panel=_WORK)(releases.watch)
app.command(rich_help_panel=_WORK)(releases.answer)
app.command(rich_help_panel=_WORK)(releases.freeze)
app.command(rich_help_panel=_WORK)(releases.thaw)
app.command(rich_help_panel=_WORK)(replay.replay)
app.command(rich_help_panel=_WORK)(audit.audit)
app.command(rich_help_panel=_WORK)(signatures.sign)
app.add_typer(clients.app, name="client", rich_help_panel=_WORK)
app.command(rich_help_panel=_WORK)(lineage.lineage)
app.command(rich_help_panel=_WORK)(lineage.reproduce)
app.command(rich_help_panel=_WORK)(tensorboard.tensorboard)
app.command(rich_help_panel=_AUTHOR)(pipelines.new)
app.command(rich_help_panel=_AUTHOR)(pipelines.check)
app.add_typer(schema.app, name="schema", rich_help_panel=_AUTHOR)
app.command(rich_help_panel=_AUTHOR)(testing.test)
app.command(rich_help_panel=_AUTHOR)(building.build)


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
    try:
        app(prog_name="./nightshift")
    except KeyboardInterrupt:
        sys.exit(130)
