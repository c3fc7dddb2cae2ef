"""What people see: one console, boards that move on a terminal and print lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from nightshift.stack.board import Board, Part, Phase

T = TypeVar("T")

_PLAIN_WIDTH = 160  # where nobody says how wide the page is, cutting tables off helps nobody


def _console() -> Console:
    there = Console(highlight=False)
    return there if there.is_terminal else Console(highlight=False, width=_PLAIN_WIDTH)


console = _console()
errors = Console(stderr=True, highlight=False, soft_wrap=True)

_MARKS = {
    Phase.WAITING: ("·", "dim"),
    Phase.READY: ("✓", "green"),
    Phase.FAILED: ("✗", "red"),
}
_FRAME_SECONDS = 0.1


def heading(text: str) -> None:
    """The title of the next stretch of work."""
    console.print(Text(text, style="bold"))


def watch(
    work: Callable[[], T],
    render: Callable[[], RenderableType],
    lines: Callable[[], list[str]],
    *,
    interrupt: Callable[[], None] = lambda: None,
) -> T:
    """Run ``work`` in a thread and show how it goes.

    Args:
        work: What to do; its result is returned, its exception raised.
        render: The picture of this moment, for a terminal.
        lines: What has happened since the last call, for everything that is not a terminal.
        interrupt: Told when the person presses Ctrl-C, before the interrupt goes on its way.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # handed to the thread that shows it
            failure.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    try:
        if console.is_terminal:
            _animate(thread, render)
        else:
            _narrate(thread, lines)
    except KeyboardInterrupt:
        interrupt()
        raise
    if failure:
        raise failure[0]
    return outcome[0]


def _animate(thread: threading.Thread, render: Callable[[], RenderableType]) -> None:
    with Live(render(), console=console, refresh_per_second=1 / _FRAME_SECONDS) as live:
        while thread.is_alive():
            thread.join(_FRAME_SECONDS)
            live.update(render())


def _narrate(thread: threading.Thread, lines: Callable[[], list[str]]) -> None:
    alive = True
    while alive:
        thread.join(_FRAME_SECONDS)
        alive = thread.is_alive()
        for line in lines():
            console.print(line, soft_wrap=True, markup=False)


class BoardView:
    """Shows a board: a table that moves, or a line whenever a part is done."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._told: set[str] = set()
        self._spinners: dict[str, Spinner] = {}

    def render(self) -> RenderableType:
        """All parts as they are now."""
        table = Table.grid(padding=(0, 2))
        for part in self._board.parts.values():
            table.add_row(self._mark(part), part.name, _seconds(part))
        return table

    def lines(self) -> list[str]:
        """Parts that have ended since the last call."""
        ended = [
            part
            for part in self._board.parts.values()
            if part.phase in (Phase.READY, Phase.FAILED) and part.name not in self._told
        ]
        self._told.update(part.name for part in ended)
        return [f"  {_MARKS[p.phase][0]} {p.name:<24} {p.seconds:.1f} s" for p in ended]

    def _mark(self, part: Part) -> RenderableType:
        if part.phase is Phase.STARTING:
            return self._spinners.setdefault(part.name, Spinner("dots", style="cyan"))
        mark, style = _MARKS[part.phase]
        return Text(mark, style=style)


def watch_board(
    work: Callable[[], T], board: Board, *, interrupt: Callable[[], None] = lambda: None
) -> T:
    """Run ``work``, which fills ``board``, and show the board meanwhile."""
    view = BoardView(board)
    return watch(work, view.render, view.lines, interrupt=interrupt)


def span(seconds: float) -> str:
    """A duration for people: ``4.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def since(moment: float) -> str:
    """The time passed since a ``time.monotonic()`` value, for people."""
    return span(time.monotonic() - moment)


def _seconds(part: Part) -> Text:
    if part.phase is Phase.WAITING:
        return Text("", style="dim")
    return Text(f"{part.elapsed:.1f} s", style="dim")
