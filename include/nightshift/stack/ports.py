"""Which port each part of the local stack listens on, and who holds a port that is taken."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

from nightshift.errors import BadDefinitionError

PORT_BASE = "NIGHTSHIFT_PORT_BASE"
_ONE_PORT = "NIGHTSHIFT_PORT_"
_HIGHEST = 65_535


@dataclass(frozen=True)
class Ports:
    """Every port of the stack, all on 127.0.0.1.

    The first five are what people and clients use; the others are between the parts.
    """

    airflow: int = 8080
    mlflow: int = 5000
    s3: int = 8333
    serving_rest: int = 8501
    serving_grpc: int = 8500
    agent: int = 8530
    envoy_admin: int = 9901
    blue_grpc: int = 8510
    blue_rest: int = 8511
    green_grpc: int = 8520
    green_rest: int = 8521
    s3_grpc: int = 18333
    seaweed_master: int = 9333
    seaweed_master_grpc: int = 19333
    seaweed_volume: int = 9340
    seaweed_volume_grpc: int = 19340
    seaweed_filer: int = 8888
    seaweed_filer_grpc: int = 18888
    seaweed_admin: int = 23646
    seaweed_admin_grpc: int = 33646
    prometheus: int = 9490
    """Not its usual 9090: where Debian's is installed, its service may be there."""

    def items(self) -> Iterator[tuple[str, int]]:
        """Name and number of every port."""
        for field in fields(self):
            yield field.name, getattr(self, field.name)


def configured_ports(environment: Mapping[str, str]) -> Ports:
    """Ports from ``NIGHTSHIFT_PORT_BASE`` (consecutive from there) and ``NIGHTSHIFT_PORT_<NAME>``.

    Raises:
        BadDefinitionError: A value is not a port number, or two parts share a number.
    """
    ports = Ports()
    if base := environment.get(PORT_BASE):
        first = _number(PORT_BASE, base)
        ports = Ports(*(first + offset for offset, _ in enumerate(fields(Ports))))
    single = {
        name: _number(_ONE_PORT + name.upper(), environment[_ONE_PORT + name.upper()])
        for name, _ in ports.items()
        if _ONE_PORT + name.upper() in environment
    }
    ports = replace(ports, **single)
    _check_distinct(ports)
    return ports


def _number(variable: str, text: str) -> int:
    highest = _HIGHEST - len(fields(Ports)) if variable == PORT_BASE else _HIGHEST
    if not text.isdecimal() or not 1024 <= int(text) <= highest:
        raise BadDefinitionError(
            f"{variable} is {text!r}; expected a port number from 1024 to {highest}."
        )
    return int(text)


def _check_distinct(ports: Ports) -> None:
    seen: dict[int, str] = {}
    for name, number in ports.items():
        if number in seen:
            raise BadDefinitionError(
                f"Port {number} is meant for both {seen[number]} and {name}; "
                f"set {_ONE_PORT}{name.upper()} to another number."
            )
        seen[number] = name


@dataclass(frozen=True)
class TakenPort:
    """A port of ours that somebody else listens on."""

    name: str
    number: int
    holder: str | None
    """Name and id of the process, where this user may know it."""

    def __str__(self) -> str:
        by = f" by {self.holder}" if self.holder else ""
        return (
            f"Port {self.number} ({self.name}) is taken{by}. Stop that process, or choose another "
            f"port: {_ONE_PORT}{self.name.upper()}=NUMBER ./nightshift up, or move all of them: "
            f"{PORT_BASE}=20000 ./nightshift up"
        )


def taken_ports(ports: Ports) -> list[TakenPort]:
    """Those of our ports that cannot be listened on now."""
    return [
        TakenPort(name, number, _holder(number))
        for name, number in ports.items()
        if not _is_free(number)
    ]


def _is_free(number: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of a server that has just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
        return True


def _holder(number: int) -> str | None:
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and connection.laddr.port == number and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):  # other users' processes are not ours to see
        pass
    return None


def port_overrides() -> dict[str, str]:
    """The variables of this shell that choose ports."""
    return {name: value for name, value in os.environ.items() if name.startswith(_ONE_PORT)}
