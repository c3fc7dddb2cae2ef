"""End what a supervised process leaves behind when it is killed.

The supervisor ends whole process groups when it stops a process, but not when one dies by itself:
a server killed with ``kill -9`` leaves its own workers alive, on its port, and every restart of it
fails. This listener is told of each such death and ends the rest of the group.

Runs under the supervisor, which speaks to it on standard input and output
(``[eventlistener:orphans]``, see :mod:`nightshift.stack.supervision`).
"""

from __future__ import annotations

import os
import signal

from supervisor import childutils


def group_of(payload: str) -> int:
    """The process group of a process that has ended: the supervisor gives each one its own.

    Args:
        payload: The event's ``name:value`` pairs.
    """
    return int(childutils.get_headers(payload)["pid"])


def end_group(group: int) -> bool:
    """Kill what is left of a group; False where nothing was."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Answer events until the supervisor ends."""
    while True:
        try:
            _, payload = childutils.listener.wait()
        except KeyError:  # an empty line instead of a header: the supervisor is gone
            return
        end_group(group_of(payload))
        childutils.listener.ok()


if __name__ == "__main__":
    main()
