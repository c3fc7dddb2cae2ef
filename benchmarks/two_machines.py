"""Two machines on one: network namespaces with addresses of their own, behind one bridge.

A machine's processes see no other's, nor its files: memory file systems lie over ``/tmp``, shared
memory and the project's folder; of the host they keep the runtimes and a scratch folder each.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nightshift.runtimes import runtimes_root

PROJECT = Path(__file__).resolve().parents[1]
BRIDGE = "nightshift0"
NETWORK = "10.201.0"

# Bind mounts keep what the memory file systems would hide.
_PRIVATE = """
set -e
mount -t tmpfs none /media
mkdir /media/runtimes /media/scratch
mount --bind "$1" /media/runtimes
mount --bind "$2" /media/scratch
for hidden in "$3" /tmp /dev/shm; do mount -t tmpfs none "$hidden"; done
mkdir -p "$1" "$2"
mount --bind /media/runtimes "$1"
mount --bind /media/scratch "$2"
shift 3
exec "$@"
"""


@dataclass(frozen=True)
class Machine:
    """A network namespace."""

    name: str
    address: str

    def inside(self, scratch: Path) -> list[str]:
        """The command that starts another one inside; it ends with all that it started.

        Args:
            scratch: The folder that the machine may write to.
        """
        separate = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        private = ["sh", "-c", _PRIVATE, "sh", str(runtimes_root()), str(scratch), str(PROJECT)]
        return ["ip", "netns", "exec", self.name, *separate, *private]

    def unplug(self) -> None:
        """Cut the cable: whoever talks to it hears nothing any more, not even a refusal."""
        _ip("link", "set", f"{self.name}-cable", "down")

    def plug(self) -> None:
        """Put the cable in again."""
        _ip("link", "set", f"{self.name}-cable", "up")


@contextmanager
def machines(count: int = 2) -> Iterator[list[Machine]]:
    """So many machines and a bridge; this process is at ``10.201.0.1``."""
    made = [Machine(f"night{n}", f"{NETWORK}.{n + 1}") for n in range(1, count + 1)]
    _remove(made)
    try:
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("address", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        for machine in made:
            _connect(machine)
        yield made
    finally:
        _remove(made)


def _connect(machine: Machine) -> None:
    name, end = machine.name, f"{machine.name}-cable"
    _ip("netns", "add", name)
    _ip("link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("link", "set", end, "master", BRIDGE, "up")
    _ip("-n", name, "address", "add", f"{machine.address}/24", "dev", "eth0")
    for link in ("lo", "eth0"):
        _ip("-n", name, "link", "set", link, "up")


def _remove(made: list[Machine]) -> None:
    for command in (
        *(["link", "delete", f"{machine.name}-cable"] for machine in made),
        *(["netns", "delete", machine.name] for machine in made),
        ["link", "delete", BRIDGE],
    ):
        subprocess.run(["ip", *command], check=False, stderr=subprocess.DEVNULL)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
