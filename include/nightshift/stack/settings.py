"""Where one stack lives on this machine, its ports, and how much of the machine it may use."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from nightshift.errors import BadDefinitionError
from nightshift.stack.passwords import Passwords, load_or_create, write_private
from nightshift.stack.ports import Ports, configured_ports, port_overrides
from nightshift.stack.runtime_build import default_root

HOME = "NIGHTSHIFT_HOME"
PEOPLE = "NIGHTSHIFT_PEOPLE"
"""Names of people who log in to the local stack's Airflow: ``ada,grace``."""
ENCRYPT_MODELS = "NIGHTSHIFT_ENCRYPT_MODELS"
"""Set to 1 where the stack is started: make a key that models are encrypted with."""
MARKER = "NIGHTSHIFT_STACK"
"""Set in the environment of every process of a stack to its home, so that none is ever lost."""
PROJECT = Path(__file__).resolve().parents[3]
HEAVY_POOL = "nightshift_heavy"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,60}")
_LONGEST_SOCKET_PATH = 90  # the kernel's limit is 108 bytes, and supervisord adds a suffix


@dataclass(frozen=True)
class StackSettings:
    """One stack: its folder, its ports, its share of the machine."""

    home: Path
    ports: Ports = field(default_factory=Ports)
    cores: int = 2
    project: Path = PROJECT
    runtimes: Path = PROJECT / ".nightshift/runtimes"
    people: tuple[str, ...] = ()
    """Airflow users beside ``admin``, so that an approval has somebody's own name."""
    encrypt_models: bool = False
    """Whether to make a key for models where there is none. One that is there is used anyhow."""
    prometheus: Path | None = None
    """Prometheus's program, where this machine has one; without it nothing watches the alerts."""

    @property
    def data(self) -> Path:
        """What must outlive ``down``: S3's objects, databases, the agent's state."""
        return self.home / "data"

    @property
    def logs(self) -> Path:
        """One log per process, and Airflow's task logs under ``tasks``."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Rendered configuration and process ids."""
        return self.home / "run"

    @property
    def working_directory(self) -> Path:
        """The current folder of every process of the stack, and of nothing else.

        A process that sets its title, as Airflow's do, overwrites the environment by which it
        could be told; its current folder stays.
        """
        return self.run / "cwd"

    @property
    def passwords_file(self) -> Path:
        """Generated passwords, readable by their owner only."""
        return self.home / "passwords.json"

    @cached_property
    def passwords(self) -> Passwords:
        """The stack's secrets, made when first asked for."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return load_or_create(self.passwords_file)

    @cached_property
    def sockets(self) -> Path:
        """Folder of the Unix sockets; elsewhere when the home's path is too long for one."""
        folder = self.run
        if len(bytes(folder)) > _LONGEST_SOCKET_PATH - len("/supervisor.sock"):
            name = hashlib.sha256(bytes(self.home)).hexdigest()[:16]
            folder = Path(tempfile.gettempdir()) / f"nightshift-{os.getuid()}-{name}"
        return folder

    @property
    def parallelism(self) -> int:
        """Airflow tasks at one time: waiting steps are cheap, heavy ones have a pool."""
        return max(4, self.cores)

    @property
    def heavy_slots(self) -> int:
        """Steps that take a core and a gigabyte, at one time."""
        return max(2, self.cores // 2)

    def make_folders(self) -> None:
        """Make the stack's folders, closed to other users."""
        for folder in (
            self.home,
            self.data,
            self.logs,
            self.run,
            self.sockets,
            self.working_directory,
        ):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def with_ports(self, ports: Ports) -> StackSettings:
        """The same stack on other ports."""
        return replace(self, ports=ports)

    @property
    def _ports_file(self) -> Path:
        return self.run / "ports.json"

    def remember_ports(self) -> None:
        """Keep the ports, so that ``status`` and ``down`` find a stack that ``up`` has moved."""
        self.make_folders()
        write_private(self._ports_file, json.dumps(asdict(self.ports), indent=1) + "\n")

    def remembered_ports(self) -> Ports | None:
        """The ports that the stack was last started on."""
        try:
            return Ports(**json.loads(self._ports_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def current_settings() -> StackSettings:
    """The stack that this shell means.

    Ports are what the environment says; without a word there, those it was last started on.
    """
    configured = os.environ.get(HOME)
    home = Path(configured).resolve() if configured else PROJECT / ".nightshift/stack"
    settings = StackSettings(
        home=home,
        ports=configured_ports(os.environ),
        cores=len(os.sched_getaffinity(0)),
        runtimes=default_root(),
        people=_people(os.environ.get(PEOPLE, "")),
        encrypt_models=os.environ.get(ENCRYPT_MODELS, "") not in ("", "0"),
        prometheus=installed_prometheus(),
    )
    remembered = None if port_overrides() else settings.remembered_ports()
    return settings.with_ports(remembered) if remembered else settings


def installed_prometheus() -> Path | None:
    """Debian's Prometheus, or another on the usual path; its service is not touched."""
    found = shutil.which("prometheus", path="/usr/local/bin:/usr/bin:/bin")
    return Path(found) if found else None


def _people(listed: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in listed.split(",") if name.strip())
    wrong = [name for name in names if not _NAME.fullmatch(name) or name == "admin"]
    if wrong:
        raise BadDefinitionError(
            f"{PEOPLE} names {wrong}; expected letters, digits and . _ -, such as 'ada,grace'."
        )
    return names
