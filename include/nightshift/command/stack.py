"""``up``, ``down``, ``status``, ``logs``."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from nightshift.command.building import ensure_runtimes
from nightshift.command.display import console, heading, since, span, watch, watch_board
from nightshift.command.releases import decisions_shown, drains_shown, release_table
from nightshift.errors import BadDefinitionError, NightshiftError, UnavailableError
from nightshift.stack.doors import ca_certificate, demo_header
from nightshift.stack.environment import airflow_login_file
from nightshift.stack.health import is_healthy
from nightshift.stack.lifecycle import Startup, bring_down, last_lines
from nightshift.stack.monitoring import MISSING, firing
from nightshift.stack.processes import processes
from nightshift.stack.settings import StackSettings, current_settings
from nightshift.stack.supervision import ProcessInfo, ProcessState, Supervisor, log_of


def up(
    only: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PROCESS]…", help="Start these and what they need; default: all."),
    ] = None,
) -> None:
    """Start everything on 127.0.0.1 and wait until it works. Builds runtimes that are missing.

    May be run at any time: what runs already is left alone.

    Examples:

      ./nightshift up

      NIGHTSHIFT_PORT_AIRFLOW=9090 ./nightshift up     one other port

      NIGHTSHIFT_PORT_BASE=20000 ./nightshift up       all ports from 20000 on
    """
    settings = current_settings()
    ensure_runtimes(settings)
    bring_up(settings, tuple(only or ()))
    show_addresses(settings)


def bring_up(settings: StackSettings, only: tuple[str, ...] = ()) -> None:
    """Start the stack and show how it goes."""
    started = time.monotonic()
    startup = Startup(settings, only)
    heading(f"Starting the stack (logs: {shown(settings.logs)})")
    watch_board(startup.run, startup.board, interrupt=startup.give_up)
    console.print(f"  up in {since(started)}")


def down() -> None:
    """Stop everything. Data, models and the release log stay; ./nightshift up finds them again."""
    settings = current_settings()
    started = time.monotonic()

    def nothing() -> Text:
        return Text(f"  stopping … {since(started)}", style="dim")

    ended = watch(lambda: bring_down(settings), nothing, list)
    for name in ended:
        console.print(f"  ended {name}, which no supervisor looked after")
    console.print(f"Everything is stopped ({since(started)}). Data stays in {shown(settings.data)}")


def status() -> None:
    """What runs, since when, at which address; and which version of each pipeline is live.

    Exit code 0 where everything is healthy, 1 otherwise.
    """
    settings = current_settings()
    infos = Supervisor(settings, processes(settings)).infos()
    healthy = _process_table(settings, infos)
    try:
        console.print(release_table(settings))
        for line in (*decisions_shown(settings), *drains_shown(settings)):
            console.print(line, markup=False)
    except NightshiftError as error:
        console.print(Text(f"No word on releases: {error}", style="yellow"))
    for line in firing(settings) if settings.prometheus else (MISSING,):
        console.print(line, markup=False)
    if not healthy:
        raise typer.Exit(1)


def logs(
    process: Annotated[
        str | None, typer.Argument(help="A process, as in status; default: which there are.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on printing until Ctrl-C.")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many lines.")] = 50,
) -> None:
    """The log of one process. Task logs are in Airflow's UI, and in logs/tasks.

    Examples:

      ./nightshift logs airflow-scheduler -f

      ./nightshift logs agent -n 200
    """
    settings = current_settings()
    known = [*(declared.name for declared in processes(settings)), "supervisor", "airflow-database"]
    if process is None:
        for name in known:
            console.print(f"{name:<24} {shown(log_of(settings, name))}")
        return
    if process not in known:
        raise BadDefinitionError(f"There is no process '{process}'. There are: {', '.join(known)}.")
    if not log_of(settings, process).exists():
        raise UnavailableError(f"'{process}' has written nothing yet. Start it: ./nightshift up")
    for line in last_lines(settings, process, lines):
        console.print(line, markup=False, soft_wrap=True)
    if follow:
        _follow(settings, process)


def show_addresses(settings: StackSettings) -> None:
    """Where things are, and where the password is."""
    ports = settings.ports
    table = Table.grid(padding=(0, 2))
    table.add_row("Airflow", f"http://127.0.0.1:{ports.airflow}", "user admin")
    table.add_row("", "password", f"airflow_admin in {shown(settings.passwords_file)}")
    if settings.people:
        logins = shown(airflow_login_file(settings))
        table.add_row("", f"also {', '.join(settings.people)}", f"passwords in {logins}")
    table.add_row("MLflow", f"http://127.0.0.1:{ports.mlflow}")
    table.add_row("Serving", f"https://127.0.0.1:{ports.serving_rest}/v1/models/NAME", "REST")
    table.add_row("", f"127.0.0.1:{ports.serving_grpc}", "gRPC")
    table.add_row("", "key", f"{shown(demo_header(settings))} (curl -H @FILE)")
    table.add_row("", "trust", shown(ca_certificate(settings)))
    if settings.prometheus:
        table.add_row("Prometheus", f"http://127.0.0.1:{ports.prometheus}/alerts", "alerts")
    console.print(table)


def shown(path: object) -> str:
    """A path for people: relative to the project, where it lies inside."""
    from nightshift.stack.settings import PROJECT

    return str(path).removeprefix(f"{PROJECT}/")


def _process_table(settings: StackSettings, infos: dict[str, ProcessInfo]) -> bool:
    declared = processes(settings)
    with ThreadPoolExecutor(len(declared)) as pool:
        health = list(pool.map(is_healthy, declared))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("process", "state", "since", "pid", "health address"):
        table.add_column(column)
    for process, works in zip(declared, health, strict=True):
        info = infos.get(process.name)
        state, style = _state(info, works)
        table.add_row(
            process.name,
            Text(state, style=style),
            span(info.seconds) if info and info.seconds else "",
            str(info.pid) if info and info.pid else "",
            process.health,
        )
    console.print(table)
    return all(health)


def _state(info: ProcessInfo | None, works: bool) -> tuple[str, str]:
    if info is None or info.state is not ProcessState.RUNNING:
        return (info.state.lower() if info else "unknown"), "red"
    return ("healthy", "green") if works else ("not answering", "yellow")


def _follow(settings: StackSettings, process: str) -> None:
    path = log_of(settings, process)
    stream = path.open(encoding="utf-8", errors="replace")
    stream.seek(0, 2)
    try:
        while True:
            if line := stream.readline():
                console.print(line.rstrip("\n"), markup=False, soft_wrap=True)
                continue
            time.sleep(0.25)
            # The supervisor rotates logs: follow the name, not the old file.
            if path.exists() and path.stat().st_ino != _inode(stream.fileno()):
                stream.close()
                stream = path.open(encoding="utf-8", errors="replace")
    finally:
        stream.close()


def _inode(descriptor: int) -> int:
    import os

    return os.fstat(descriptor).st_ino
