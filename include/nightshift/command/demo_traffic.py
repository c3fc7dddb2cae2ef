"""Clients for the demo: real flights of the days after its nights, asked for without a pause."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

_CLIENTS = 2
_PAUSE_SECONDS = 0.03


@contextmanager
def clients(
    ask: Callable[[dict[str, Any]], httpx.Response], rows: Sequence[dict[str, Any]]
) -> Iterator[None]:
    """A few clients that ask for one row after the other while the block runs.

    Args:
        ask: Sends one row; what it raises or answers is the client's affair.
        rows: What they ask for, over and over.
    """
    done = threading.Event()

    def client(first: int) -> None:
        place = first
        while not done.wait(_PAUSE_SECONDS):
            place += 1
            try:
                ask(rows[place % len(rows)])
            except httpx.HTTPError:
                # Nothing serves before the first release.
                done.wait(1)

    threads = [
        threading.Thread(target=client, args=(n * 17,), daemon=True) for n in range(_CLIENTS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join(5)
