"""A process of a job tells where it is, about once a second, also while a graph runs for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nightshift.training.job import Beat
from nightshift.training.order import Position

EVERY_SECONDS = 1.0


class Beats:
    """What this process tells.

    Args:
        report: Takes a beat to whoever watches.
    """

    def __init__(self, report: Callable[[Beat], None]) -> None:
        self._report = report
        self._phase = "starting"
        self._where: Callable[[], Position] = Position
        self._ended = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Beat until the block ends."""
        thread = threading.Thread(target=self._beat, name="beats", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def enter(self, phase: str, where: Callable[[], Position] | None = None) -> None:
        """Begin another phase.

        Args:
            phase: See :attr:`nightshift.training.job.Beat.phase`.
            where: Tells the position; called from another thread.
        """
        self._where = where or self._where
        self._phase = phase
        self.tell()

    def tell(self) -> None:
        """Beat now."""
        position = self._where()
        self._report(Beat(phase=self._phase, epoch=position.epoch, step=position.step))

    def _beat(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self.tell()
