"""Starts the model server: `python -m nightshift.serving.server --help`."""

from __future__ import annotations

import logging
import os
import socket
import sys

from nightshift.errors import NightshiftError, UnavailableError
from nightshift.serving.flags import ServerFlags, parse_flags


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM.

    Returns:
        0 after SIGTERM or SIGINT; 1 where the server could not start, with one line on stderr.
    """
    flags = parse_flags(arguments)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    try:
        _require_free_ports(flags)
        _run(flags)
    except NightshiftError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def _run(flags: ServerFlags) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Imported late: TensorFlow takes seconds, and --help or a taken port should not.
    from nightshift.serving.application import run

    run(flags)


def _require_free_ports(flags: ServerFlags) -> None:
    for flag, port in (
        ("--port", flags.port),
        ("--rest_api_port", flags.rest_api_port),
    ):
        if port == 0:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((flags.host, port))
            except OSError as error:
                raise UnavailableError(
                    f"Cannot listen on {flags.host}:{port}: {error.strerror}. Stop what listens "
                    f"there, or choose another {flag}."
                ) from error


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: it would wait for a prediction that the drain has already given up on.
    os._exit(code)
