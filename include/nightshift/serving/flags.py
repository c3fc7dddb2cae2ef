"""The command line, with TensorFlow Serving's own flag names and defaults."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

_TRUE = frozenset({"true", "t", "1", "yes", "y"})
_FALSE = frozenset({"false", "f", "0", "no", "n"})


@dataclass(frozen=True)
class ServerFlags:
    """Everything that the command line says; one attribute per flag, same name."""

    host: str
    port: int
    rest_api_port: int
    rest_api_num_threads: int
    rest_api_timeout_in_ms: int
    grpc_max_threads: int
    model_config_file: Path | None
    model_config_file_poll_wait_seconds: float
    model_name: str
    model_base_path: Path | None
    file_system_poll_wait_seconds: float
    max_num_load_retries: int
    load_retry_interval_micros: int
    num_load_threads: int
    allow_version_labels_for_unavailable_models: bool
    prefer_tflite_model: bool
    tensorflow_session_parallelism: int
    tensorflow_intra_op_parallelism: int
    tensorflow_inter_op_parallelism: int


def parse_flags(arguments: Sequence[str]) -> ServerFlags:
    """Read the command line; a wrong one ends the process with code 2 and one line."""
    parser = _parser()
    values = parser.parse_args(arguments)
    flags = ServerFlags(
        **{field.name: getattr(values, field.name) for field in fields(ServerFlags)}
    )
    if flags.model_config_file is None and flags.model_base_path is None:
        parser.error("give --model_config_file, or --model_name and --model_base_path")
    if flags.port == 0 and flags.rest_api_port == 0:
        parser.error("--port and --rest_api_port are both 0: nothing to listen on")
    if flags.port == flags.rest_api_port:
        parser.error(f"--port and --rest_api_port are both {flags.port}: they must differ")
    return flags


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nightshift.serving.server",
        description="A small model server with TensorFlow Serving's API and flags.",
        allow_abbrev=False,
    )
    _add_network(parser)
    _add_models(parser)
    _add_threads(parser)
    return parser


def _add_network(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("network")
    threads = 4 * (os.cpu_count() or 1)
    group.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    group.add_argument("--port", type=int, default=8500, help="gRPC port; 0 for none (%(default)s)")
    group.add_argument(
        "--rest_api_port",
        type=int,
        default=0,
        help="HTTP port; 0 for none (%(default)s)",
    )
    group.add_argument(
        "--rest_api_num_threads",
        type=_positive,
        default=threads,
        help="REST predictions at the same time (4 per CPU: %(default)s)",
    )
    group.add_argument(
        "--grpc_max_threads",
        type=_positive,
        default=threads,
        help="gRPC predictions at the same time (4 per CPU: %(default)s)",
    )
    group.add_argument(
        "--rest_api_timeout_in_ms",
        type=_positive,
        default=30_000,
        help="longest time for one REST prediction, milliseconds (%(default)s)",
    )


def _add_models(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("models")
    group.add_argument("--model_config_file", type=Path, help="ModelServerConfig as protobuf text")
    group.add_argument(
        "--model_config_file_poll_wait_seconds",
        type=_seconds,
        default=0.0,
        help="pause between two looks at that file; 0 reads it once (%(default)s)",
    )
    group.add_argument("--model_name", default="default", help="name of a single model")
    group.add_argument("--model_base_path", type=Path, help="absolute folder of a single model")
    group.add_argument(
        "--file_system_poll_wait_seconds",
        type=_seconds,
        default=1.0,
        help="pause between two looks for new versions; 0 looks once (%(default)s)",
    )
    group.add_argument(
        "--max_num_load_retries",
        type=_not_negative,
        default=5,
        help="how often a failed load is tried again (%(default)s)",
    )
    group.add_argument(
        "--load_retry_interval_micros",
        type=_not_negative,
        default=60_000_000,
        help="pause before a failed load is tried again, microseconds (%(default)s)",
    )
    group.add_argument(
        "--allow_version_labels_for_unavailable_models",
        type=_boolean,
        nargs="?",
        const=True,
        default=False,
        help="let an unused label name a version that is not AVAILABLE yet",
    )
    group.add_argument(
        "--prefer_tflite_model",
        type=_boolean,
        nargs="?",
        const=True,
        default=False,
        help="load model.tflite where a version's folder has one, not its saved_model.pb",
    )


def _add_threads(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("threads")
    group.add_argument(
        "--num_load_threads",
        type=_positive,
        default=2,
        help="loads at the same time (%(default)s)",
    )
    group.add_argument(
        "--tensorflow_session_parallelism",
        type=_not_negative,
        default=0,
        help="both of the following at once",
    )
    group.add_argument(
        "--tensorflow_intra_op_parallelism",
        type=_not_negative,
        default=0,
        help="threads within one operation; 0 lets TensorFlow choose",
    )
    group.add_argument(
        "--tensorflow_inter_op_parallelism",
        type=_not_negative,
        default=0,
        help="threads over a request's operations; 0 runs them on the request's own thread",
    )


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds from 0 up")
    return number
