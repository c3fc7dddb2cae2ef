"""A step ends itself when whoever started it dies, however it dies.

Two ways, because each has a hole: the kernel's parent-death signal (lost if the parent died
before it was asked for) and end-of-file on a pipe that only the parent holds open (lost if a
forked sibling inherited the other end).
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading

_PR_SET_PDEATHSIG = 1


def die_with_parent(sign: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to send ``sign`` to this process when its parent thread ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def end_group_on_eof(descriptor: int) -> None:
    """Kill this process's whole group once the pipe's other end is closed.

    The caller must be the leader of a group of its own, or its siblings die too.
    """

    def watch() -> None:
        while os.read(descriptor, 4096):
            pass
        # Not a word to anybody: whoever read our output is gone too, and a broken pipe here would
        # end this thread instead of the step.
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
